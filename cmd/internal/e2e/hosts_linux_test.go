package e2e_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

var update = flag.Bool("update", false, "rewrite the table of configs/hosts.md")

// cell is an exchange of the table.
type cell struct {
	flow          flowName
	family, proto string
}

// cells returns all exchanges of a host.
func (h *hostLab) cells() map[cell]call {
	all := make(map[cell]call)
	for _, family := range []string{"IPv4", "IPv6"} {
		is6 := family == "IPv6"
		host, lan := pick(is6, tuntest.RouterAddr4, tuntest.RouterAddr6), pick(is6, tuntest.ClientAddr4, tuntest.ClientAddr6)
		container := pick(is6, containerAddr4, containerAddr6)
		for _, proto := range []string{"TCP", "UDP", "ping"} {
			add := func(name flowName, c call) {
				c.proto, c.witnesses = strings.ToLower(proto), h.witnesses()
				if proto != "ping" {
					c.source = h.source()
				}
				all[cell{name, family, proto}] = c
			}
			add("host", call{ns: h.Router, to: h.far(is6)})
			add("LAN client", call{ns: h.Client, to: h.far(is6)})
			add("container", call{ns: h.containers, to: h.far(is6)})
			add("inbound to the host", call{ns: h.Server, to: host, from: h.caller(is6)})
			add("inbound to the LAN", call{ns: h.Server, to: lan, from: h.caller(is6)})
			add("host to the LAN", call{ns: h.Router, to: lan})
			add("host to a container", call{ns: h.Router, to: container})
			add("LAN client to the host", call{ns: h.Client, to: pick(is6, "192.0.2.1", "2001:db8:1::1")})
			add("LAN client to a container", call{ns: h.Client, to: container})
			add("container to the host", call{ns: h.containers, to: pick(is6, "203.0.113.129", "2001:db8:5::1")})
			add("container to the LAN", call{ns: h.containers, to: lan})
			if proto != "ping" {
				add("host to the published port", call{ns: h.Router, to: host, port: "8080"})
				add("LAN client to the published port", call{ns: h.Client, to: host, port: "8080"})
				add("published port", call{ns: h.Server, to: host, port: "8080", from: h.caller(is6)})
			}
			for name, c := range h.more {
				add(name, c(is6))
			}
		}
	}
	return all
}

// source returns a port for a client that no other call has. If a LAN client calls a container and
// its published port from one port, both connections have the same addresses and ports after
// translation, and the host translates the port of the later one: then its record has another port
// than the client. The kernel gives none of these ports to clients that are not bound, as the
// router's are: they are below net.ipv4.ip_local_port_range.
func (h *hostLab) source() int {
	h.sources++
	return 20000 + h.sources
}

// TestHosts compares the calls that work on hosts of all kinds with the router and without: TCP,
// UDP and ping, both families, of clients on the host and behind it, and from outside. The
// differences are the table of configs/hosts.md.
func TestHosts(t *testing.T) {
	t.Parallel()
	all := make([]map[difference][]string, len(hostKinds))
	t.Run("kinds", func(t *testing.T) {
		for i, kind := range hostKinds {
			t.Run(kind.name, func(t *testing.T) {
				t.Parallel()
				all[i] = differences(t, kind)
			})
		}
	})
	if t.Failed() || slices.ContainsFunc(all, func(m map[difference][]string) bool { return m == nil }) {
		return // or some were not asked for
	}
	file := filepath.Join(checkout, "configs", "hosts.md")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const head = "|---|---|---|---|---|\n"
	before, after, ok := strings.Cut(string(b), head)
	if !ok {
		t.Fatalf("%s has no table", file)
	}
	_, after, _ = strings.Cut(after+"\n", "\n\n")
	want := strings.TrimSuffix(before+head+table(all)+"\n"+after, "\n")
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(b), want); diff != "" {
		t.Errorf("configs/hosts.md is not true; -update rewrites it (-there +found):\n%s", diff)
	}
}

// difference is how calls end without the router and with it.
type difference struct {
	flow          flowName
	without, with string
}

// table renders the differences on hosts of each kind. On others than a plain one it leaves out the
// lines that are as there.
func table(all []map[difference][]string) string {
	var b strings.Builder
	for i, differ := range all {
		var lines []string
		add := func(d difference, over []string, with string) {
			text := strings.Join(over, ", ")
			text = strings.ReplaceAll(text, "IPv4 TCP, IPv4 UDP, IPv4 ping", "IPv4")
			text = strings.ReplaceAll(text, "IPv6 TCP, IPv6 UDP, IPv6 ping", "IPv6")
			lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s |\n", hostKinds[i].name, d.flow, text, d.without, with))
		}
		for d, over := range differ {
			if i == 0 || !slices.Equal(over, all[0][d]) {
				add(d, over, d.with)
			}
		}
		for d, over := range all[0] {
			same := func(e difference) bool { return e.flow == d.flow }
			if !slices.ContainsFunc(slices.Collect(maps.Keys(differ)), same) {
				d.without = "another end than on a plain host"
				add(d, over, "as without")
			}
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

// differences returns which calls end otherwise on a host of one kind, by family and protocol.
func differences(t *testing.T, kind hostKind) map[difference][]string {
	h := newHostLab(t)
	kind.setUp(t, h)
	before := h.Router.State()
	direct := calls(h.cells())
	r := &router{dir: t.TempDir()}
	r.Process = h.Router.Start(binary, "run", "-c", r.writeConfig(t, sourcesOfLAN))
	r.wait(t, "the router to start", func() bool { return strings.Contains(r.Stderr(), "msg=routing") })
	made := h.cells()
	routed := calls(made)
	recorded := make(map[string]bool) // by destination and the client's port
	r.stop(t, unix.SIGTERM)
	for _, record := range r.records(t) {
		recorded[fmt.Sprint(record.Dst, record.Sport)] = true
	}
	wantState(t, h.Router, before)
	kind.checkWarnings(t, r.Stderr())
	differ := make(map[difference][]string)
	for _, c := range slices.SortedFunc(maps.Keys(direct), cell.compare) {
		d := difference{c.flow, h.symbolic(direct[c].says), h.symbolic(routed[c].says)}
		if testing.Verbose() {
			t.Logf("%v: %s, with the router %s", c, d.without, d.with)
		}
		got := recorded[fmt.Sprint(made[c].to, routed[c].port)]
		if d = d.short(); c.proto == "TCP" && got != c.leaves() && strings.Contains(routed[c].says, " sees ") {
			d.with += map[bool]string{false: ", unrecorded", true: ", recorded"}[got]
		}
		if d.with != "as without" {
			differ[d] = append(differ[d], c.family+" "+c.proto)
		}
	}
	return differ
}

// short leaves out of the end of a call with the router the parts that are as without.
func (d difference) short() difference {
	who, without, _ := strings.Cut(d.without, " sees ")
	who2, with, ok := strings.Cut(d.with, " sees ")
	switch {
	case d.without == d.with:
		d.with = "as without"
	case ok && who == who2:
		d.without, d.with = without+" is seen", with+" is seen"
	}
	return d
}

// compare orders cells by family and protocol.
func (c cell) compare(d cell) int { return strings.Compare(c.family+c.proto, d.family+d.proto) }

// checkWarnings compares the warnings of a run with those that a kind of host is to have.
func (kind hostKind) checkWarnings(t *testing.T, stderr string) {
	t.Helper()
	said := make(map[string]bool)
	lines := make(map[string]bool)
	for line := range strings.Lines(stderr) {
		if _, text, _ := strings.Cut(line, "msg="); lines[text] {
			t.Errorf("the router says twice %s", text)
		} else {
			lines[text] = true
		}
		if !strings.Contains(line, "level=warning") {
			continue
		}
		wanted := false
		for text := range strings.Lines(kind.said) {
			text = strings.TrimSpace(text)
			if regexp.MustCompile(strings.TrimPrefix(text, may)).MatchString(strings.ReplaceAll(line, `\"`, `"`)) {
				wanted, said[text] = true, true
			}
		}
		if !wanted {
			t.Errorf("the router warns without need: %s", line)
		}
	}
	for text := range strings.Lines(kind.said) {
		if text = strings.TrimSpace(text); !said[text] && !strings.HasPrefix(text, may) {
			t.Errorf("the router said\n%swant %q", stderr, text)
		}
	}
}

// leaves tells whether a call is one that the router is to carry: calls from outside are not,
// nor calls to the host, nor those of a machine that tun.sources lacks to a network beside
// the host.
func (c cell) leaves() bool {
	for _, text := range []string{"inbound", "published", "to the host", "container to the LAN"} {
		if strings.Contains(string(c.flow), text) {
			return false
		}
	}
	return true
}

// symbolic puts names in place of addresses.
func (h *hostLab) symbolic(answer string) string {
	who, address, ok := strings.Cut(answer, " sees ")
	if name := h.names[address]; ok && name != "" {
		return who + " sees " + name
	}
	return answer
}
