package e2e_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestPrograms has real programs use the network, with "run" and with "exec", and compares the
// records with a capture of the uplink: neither has a flow that the other lacks. Each flow has the
// name for which its program has asked, and its owner. The soak has all programs of the table that
// are installed.
func TestPrograms(t *testing.T) {
	t.Parallel()
	requireTools(t, "dnsmasq", "setpriv", "tcpdump", "unshare")
	requireSetgroups(t)
	var all []clientProgram
	var missing []string
	only := os.Getenv("SYNTAP_PROGRAMS")
	for _, p := range clientPrograms {
		switch {
		case only != "" && !slices.Contains(strings.Split(only, ","), p.name), !p.short && !soak():
		case p.missing() != "":
			missing = append(missing, fmt.Sprintf("%s (needs %s)", p.name, p.missing()))
		default:
			all = append(all, p)
		}
	}
	if len(missing) > 0 {
		reportf(t, "skipped: %s", strings.Join(missing, ", "))
	}
	for by, run := range map[string]func(*testing.T, *programLab) string{"run": runPrograms, "exec": execPrograms} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			lab := newProgramLab(t, all)
			uplink := captureLink(t, lab.Router, "wan0", filepath.Join(lab.dir, "uplink.pcap"))
			log := run(t, lab)
			uplink.stop(t)
			lab.check(t, readWire(t, uplink.file, tuntest.RouterAddr4, tuntest.RouterAddr6), flowRecords(t, log))
		})
	}
}

// runPrograms has all programs run beside "run", and returns its log.
func runPrograms(t *testing.T, lab *programLab) (log string) {
	t.Helper()
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "json, path", "json, chain: true, path", 1)+
		"http: {listen: \"unix:DIR/http.sock\"}\n")
	lab.user = 65534
	lab.runAll(t, func(p *clientProgram) []string {
		if !p.nobody {
			return nil
		}
		return []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"}
	})
	status := lab.Router.Run(binary, "status", "--at", "unix:"+filepath.Join(r.dir, "http.sock"))
	reportf(t, "%s", ownersIn(status))
	r.stop(t, unix.SIGTERM)
	got := command(t, lab.Router, binary, "verify", filepath.Join(r.dir, "handshakes.json"))
	if got.status != 0 || !strings.Contains(got.stdout, "1 run is complete: ") {
		t.Errorf("verify: %+v", got)
	}
	return r.read(t, "handshakes.json")
}

// ownersIn returns the line of a status on owners: how many were found, and why others were not.
func ownersIn(status string) string { return regexp.MustCompile("owners .*").FindString(status) }

// execPrograms runs each program by an "exec" of its own, and returns the logs.
func execPrograms(t *testing.T, lab *programLab) (log string) {
	t.Helper()
	lab.runAll(t, func(p *clientProgram) []string {
		return []string{binary, "exec", "--format", "json", "-o", filepath.Join(lab.dir, p.name+".json"), "--"}
	})
	for _, p := range lab.programs {
		one := readLog(t, filepath.Join(lab.dir, p.name+".json"))
		checkRecords(t, one)
		log += one
	}
	return log
}

// check compares the records with the uplink, and each with the program that it is of.
func (lab *programLab) check(t *testing.T, w *wire, records []flowRecord) {
	t.Helper()
	compared := compareUplink(w, records)
	owned, unowned := 0, 0
	for i := range lab.programs {
		known, unknown := lab.checkProgram(t, &lab.programs[i], records, compared.contradictions)
		owned, unowned = owned+known, unowned+unknown
	}
	for _, c := range compared.contradictions {
		if lab.programAt(c.far.Addr()) == nil {
			t.Errorf("%v: %s", c.far, c.text)
		}
	}
	packets := 0
	for _, f := range w.flows {
		packets += f.out + f.in
	}
	reportf(t, "%d programs, %d records, %d flows with %d packets on the uplink, others %v, %d of %d connections to the byte",
		len(lab.programs), len(records), len(w.flows), packets, w.others, compared.exact, len(compared.ends))
	if len(w.flows) < len(lab.programs) || owned == 0 || soak() && owned < unowned/3 {
		t.Errorf("%d flows on the uplink; %d records with an owner and %d without", len(w.flows), owned, unowned)
	}
}

// checkProgram checks the records of one program, and returns how many of them have an owner, and
// how many have not. On a busy machine the search for a process may take too long.
func (lab *programLab) checkProgram(t *testing.T, p *clientProgram, records []flowRecord, all []contradiction) (owned, unowned int) {
	t.Helper()
	unnamed, faults := 0, 0
	report := func(format string, args ...any) {
		t.Errorf(p.name+": "+format, args...)
		faults++
	}
	seen := make(map[string]bool)
	for i := range records {
		r := &records[i]
		if !lab.concerns(p, r) {
			continue
		}
		seen[r.kind()] = true
		name, owner := lab.nameFault(p, r), lab.ownerFault(p, r)
		for _, f := range []fault{name, owner} {
			if f.text != "" && !f.unknown {
				report("%s: %s", f.text, r.brief())
			}
		}
		if name.unknown {
			unnamed++
		}
		if owner.unknown {
			unowned++
		} else {
			owned++
		}
	}
	for _, c := range all {
		if p.has(c.far.Addr()) {
			report("%v: %s", c.far, c.text)
		}
	}
	for want := range strings.FieldsSeq(p.want) {
		if !seen[want] {
			report("no record of %s", want)
		}
	}
	reportf(t, "%-18s %3d records, %d without name, %d without owner, %d faults", p.name, owned+unowned, unnamed, unowned, faults)
	return owned, unowned
}

// kind returns a record's kind in the words of clientProgram.want.
func (r *flowRecord) kind() string {
	switch {
	case r.Dst == resolver && r.Dport == 53:
		return "dns"
	case r.Proto == "icmp":
		return r.Proto
	}
	return fmt.Sprintf("%s:%d", r.Proto, r.Dport)
}

// runAll runs the programs, several at a time, each behind the words that prefix returns.
func (lab *programLab) runAll(t *testing.T, prefix func(*clientProgram) []string) {
	t.Helper()
	running := make(chan struct{}, 6)
	var raw sync.Mutex
	var wg sync.WaitGroup
	for i := range lab.programs {
		running <- struct{}{}
		wg.Go(func() {
			defer func() { <-running }()
			p := &lab.programs[i]
			if slices.Contains(strings.Fields(p.want), "icmp") {
				raw.Lock() // of several raw sockets the kernel does not say which has sent an echo
				defer raw.Unlock()
			}
			env := append(lab.environment(p), "sh", "-c", p.script)
			line := lab.etc.resolving(slices.Concat(prefix(p), []string{"env"}, env)...)
			if got := command(t, lab.Router, line[0], line[1:]...); got.status != 0 {
				t.Errorf("%s: %+v", p.name, got)
			}
		})
	}
	wg.Wait()
}

// resolving returns the command line by which a program runs with the resolver, and all else in
// /etc as it is.
func (e etc) resolving(args ...string) []string {
	const script = `for f in resolv.conf nsswitch.conf; do mount --bind "$0/$f" /etc/$f || exit; done; exec "$@"`
	return append([]string{"unshare", "--mount", "sh", "-c", script, string(e)}, args...)
}

func (lab *programLab) programAt(a netip.Addr) *clientProgram {
	for i := range lab.programs {
		if lab.programs[i].has(a) {
			return &lab.programs[i]
		}
	}
	return nil
}

// concerns reports whether a record is of a flow to a program's server, or of a query for its name.
func (lab *programLab) concerns(p *clientProgram, r *flowRecord) bool {
	if p.has(netip.MustParseAddr(r.Dst)) {
		return true
	}
	return r.DNS != nil && len(r.DNS.Queries) > 0 && r.DNS.Queries[0].Name == p.host()
}

// fault is one of a record: something in it is wrong, or not known.
type fault struct {
	text    string
	unknown bool
}

// nameFault says how a record's account of the server's name is wrong. Without a user there is no
// name.
func (lab *programLab) nameFault(p *clientProgram, r *flowRecord) fault {
	want := p.host()
	if p.literal || r.Dst == resolver {
		want = ""
	}
	tls := r.Msg == "flow" && !p.literal && r.OutBytes > 0 && (r.Dport == 443 || r.Dport == 8443)
	switch {
	case r.Name == "" && want != "" && r.UID == nil:
		return fault{"no name", true}
	case r.Name != want, len(r.Names) > 0, r.Conflict:
		return fault{text: "name, want " + want}
	case r.SNI != "" && r.SNI != want, r.QUIC != nil && r.QUIC.SNI != "" && r.QUIC.SNI != want, tls && r.SNI == "":
		return fault{text: "server name of TLS"}
	case r.Host != "" && r.Host != want && !p.literal:
		return fault{text: "host of HTTP"}
	}
	return fault{}
}

// ownerFault says how a record's owner is wrong.
func (lab *programLab) ownerFault(p *clientProgram, r *flowRecord) fault {
	owners := strings.Fields(p.owners)
	if len(owners) == 0 {
		owners = []string{p.name}
	}
	if r.DNS != nil { // a program that starts another may resolve the name
		owners = append(owners, p.name, strings.Split(p.name, "-")[0], "perl", "python3")
	}
	user := uint32(0)
	if p.nobody {
		user = lab.user
	}
	switch {
	case r.UID == nil:
		return fault{"no owner", true}
	case *r.UID != user:
		return fault{text: fmt.Sprintf("user, want %d", user)}
	case r.PID == 0:
		return fault{"no process", true}
	case !slices.Contains(owners, r.Process) && !lab.isLink(owners, r.Exe), !strings.HasPrefix(filepath.Base(r.Exe), r.Process):
		return fault{text: fmt.Sprintf("process, want %v", owners)}
	}
	return fault{}
}

// isLink reports whether one of the programs is a link to the file.
func (lab *programLab) isLink(names []string, exe string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		path, err := filepath.EvalSymlinks(toolPath(name))
		return err == nil && path == exe
	})
}
