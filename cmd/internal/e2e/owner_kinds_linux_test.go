package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// program is one whose traffic has one owner in all records.
type program struct {
	name    string // of its process
	command string // for a shell
	records int    // of handshakes and datagrams that it causes
}

// programs reach a server that answers TCP and UDP at a port, one that refuses both, and one that
// policy forbids. All wait for their answer or error: a program that ends before its packet has
// passed the router has no owner there.
func programs() (all []program) {
	const forbidden = "203.0.113.9"
	for _, server := range addresses() {
		all = append(all,
			program{"curl", "curl -sS http://" + bracketed(server) + "/", 1},
			program{"nc", "nc -z " + server + " 81", 1},
			program{"nc", "echo | nc -u -W 1 -w 30 " + server + " 7000", 1},
			program{"nc", "echo | nc -u -W 1 -w 30 " + server + " 7001", 1},
			program{"dig", "dig +tries=1 +timeout=30 -p 7000 @" + server + " example.org", 1},
			program{"ping", "ping -c 1 -W 30 " + server, 1},
			program{"perl", `perl -MIO::Socket::IP -e '
				my $s = IO::Socket::IP->new(Proto => "udp", Family => ` + perlFamily(server) + `) or die $@;
				my ($e, @a) = Socket::getaddrinfo("` + server + `", 7000, {socktype => Socket::SOCK_DGRAM()});
				$s->send("x", 0, $a[0]{addr}) or die $!; $s->recv(my $b, 9)'`, 1},
		)
	}
	return append(all,
		program{"curl", "curl -sS --interface if!syntap0 http://" + tuntest.ServerAddr4 + "/", 1},
		program{"ping", "ping -c 1 -W 30 -I syntap0 " + tuntest.ServerAddr4, 1},
		program{"curl", "curl -s http://" + forbidden + "/", 1},
		program{"nc", "echo | nc -u -W 1 -w 30 " + forbidden + " 7000", 1},
		program{"ping", "ping -c 1 -W 30 " + forbidden, 1},
	)
}

func bracketed(address string) string {
	if strings.Contains(address, ":") {
		return "[" + address + "]"
	}
	return address
}

func perlFamily(address string) string {
	if strings.Contains(address, ":") {
		return "Socket::AF_INET6()"
	}
	return "Socket::AF_INET()"
}

// asUser returns the command of a shell that another user, or root, runs.
func asUser(uid uint32, script string) []string {
	if uid == 0 {
		return []string{"sh", "-c", script}
	}
	id := fmt.Sprint(uid)
	return []string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", "sh", "-c", script}
}

// serveOwned has the lab's server answer the programs.
func serveOwned(t *testing.T, lab *tuntest.Lab) {
	t.Helper()
	requireTools(t, "curl", "nc", "dig", "ping", "perl", "setpriv")
	requireSetgroups(t)
	serveHTTP(t, lab, greeting)
	lab.Router.Sysctl("net.ipv4.ping_group_range", "0 2147483647")
	for _, host := range addresses() { // by a wildcard address it would answer from another one
		c := lab.Server.ListenPacket("udp", net.JoinHostPort(host, "7000"))
		go func() {
			b := make([]byte, 2000)
			for {
				n, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				if n > 12 {
					b[2] |= 0x80 // a response, for dig
				}
				_, _ = c.WriteTo(b[:n], from)
			}
		}()
	}
}

// openingsOf returns the records of handshakes and datagrams in a log, and checks that each flow
// has the owner of the record by which it began.
func openingsOf(t *testing.T, log string) (openings []ownedRecord) {
	t.Helper()
	begun := make(map[uint64]ownedRecord)
	for line := range strings.Lines(log) {
		var r ownedRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		switch r.Msg {
		case "handshake", "datagram":
			openings = append(openings, r)
			begun[r.Seq] = r
		case "flow":
			if o, ok := begun[r.Handshake+r.Datagram]; ok && o.who() != r.who() {
				t.Errorf("a flow has another owner than its opening: %s, %s", line, o.who())
			}
		}
	}
	return openings
}

type ownedRecord struct {
	Msg, Proto, Dst string
	Verdict         string
	Seq             uint64
	Handshake       uint64 `json:"handshake_seq"`
	Datagram        uint64 `json:"datagram_seq"`
	UID             *uint32
	User            string
	PID             int
	Process, Exe    string
	Unit, Container string
}

// who says whose a record is.
func (r *ownedRecord) who() string {
	uid := "unknown"
	if r.UID != nil {
		uid = fmt.Sprint(*r.UID)
	}
	return fmt.Sprintf("uid %s user %q process %q exe %q", uid, r.User, r.Process, r.Exe)
}

func (p program) who(t *testing.T, uid uint32) string {
	t.Helper()
	exe, err := exec.LookPath(p.name)
	if err == nil {
		exe, err = filepath.EvalSymlinks(exe)
	}
	if err != nil {
		t.Fatal(err)
	}
	user := map[uint32]string{0: "root"}[uid]
	return fmt.Sprintf("uid %d user %q process %q exe %q", uid, user, p.name, exe)
}

// TestOwnerOfEverything has root and another user run programs by TCP, UDP and ICMP that connect,
// are refused, and are denied. Each record names its program, of which the shell knows the number.
func TestOwnerOfEverything(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveOwned(t, lab)
	r := run(t, lab.Router, "syntap0", everything+`
egress: {deny: [203.0.113.9/32]}
`)
	records := 0
	for _, uid := range []uint32{0, 12345} {
		for _, p := range programs() {
			words := asUser(uid, "echo $$; "+execed(p.command))
			got := command(t, lab.Router, words[0], words[1:]...)
			records += p.records
			all := func() []ownedRecord { return openingsOf(t, wholeLines(r.read(t, "handshakes.json"))) }
			r.wait(t, "the record of "+p.command, func() bool { return len(all()) >= records })
			want, pid := p.who(t, uid), 0
			_, _ = fmt.Sscan(got.stdout, &pid)
			for _, o := range all()[records-p.records:] {
				if o.who() != want || o.PID == 0 || o.PID != pid && !strings.HasPrefix(p.command, "echo") {
					t.Errorf("%s: a %s is of %s, process %d, want %s, process %d", p.command, o.Msg, o.who(), o.PID, want, pid)
				}
			}
		}
	}
	r.stop(t, unix.SIGTERM)
	if n := len(openingsOf(t, r.read(t, "handshakes.json"))); n != records {
		t.Errorf("%d records, want %d", n, records)
	}
}

// execed has a shell become its last command.
func execed(command string) string {
	if before, last, ok := strings.Cut(command, " | "); ok {
		return before + " | " + last
	}
	return "exec " + command
}

func wholeLines(text string) string { return text[:strings.LastIndex(text, "\n")+1] }

// TestOwnerInExec has programs run in a session, which root or another user begins. Its records
// name them as the host does.
func TestOwnerInExec(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveOwned(t, lab)
	dir := publicDir(t)
	program := filepath.Join(dir, "syntap") // that any user may execute
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	tuntest.WriteProgram(t, program, text)
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte("egress: {deny: [203.0.113.9/32]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	users := []uint32{0, 12345}
	if device, err := os.Stat("/dev/net/tun"); err != nil || device.Mode()&0o006 != 0o006 {
		users = users[:1]
	}
	for _, uid := range users {
		for i, p := range programs() {
			log := filepath.Join(dir, fmt.Sprintf("%d-%d.json", uid, i))
			words := asUser(uid, `exec "$@"`)
			words = append(words, "sh", program, "exec", "-c", config, "--format", "json", "-o", log, "--", "sh", "-c", p.command)
			got := command(t, lab.Router, words[0], words[1:]...)
			text, err := os.ReadFile(log)
			if err != nil {
				t.Errorf("%s: %v, %+v", p.command, err, got)
				continue
			}
			all := openingsOf(t, string(text))
			if len(all) != p.records {
				t.Errorf("%s: %d records, want %d: %s", p.command, len(all), p.records, text)
			}
			for _, o := range all {
				if want := p.who(t, uid); o.who() != want || o.PID == 0 {
					t.Errorf("%s: a %s is of %s, process %d, want %s", p.command, o.Msg, o.who(), o.PID, want)
				}
			}
		}
	}
}

// publicDir returns a directory of the test's that any user may enter and write.
func publicDir(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	top := filepath.Clean(os.TempDir())
	for parent := filepath.Dir(dir); parent != top && parent != "/"; parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestOwnerInExecHasHostsNumber compares a process in a session with the one that its record names.
func TestOwnerInExecHasHostsNumber(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveOwned(t, lab)
	log := filepath.Join(t.TempDir(), "log.json")
	p := lab.Router.Start(binary, "exec", "--format", "json", "-o", log, "--", "bash", "-c",
		"exec 3<>/dev/tcp/"+tuntest.ServerAddr4+"/80; exec sleep 60")
	var all []ownedRecord
	tuntest.Wait(t, "the record", func() bool {
		text, _ := os.ReadFile(log)
		all = openingsOf(t, wholeLines(string(text)))
		return len(all) == 1
	})
	var name []byte
	tuntest.Wait(t, "the program to be executed", func() bool {
		name, _ = os.ReadFile(fmt.Sprintf("/proc/%d/comm", all[0].PID))
		return string(name) == "sleep\n"
	})
	if all[0].Process != "bash" {
		t.Errorf("the record names %s, want bash", all[0].who())
	}
	_ = p.Signal(unix.SIGTERM)
	<-p.Done()
}

// TestOwnerInCgroup runs a program in cgroups as systemd and container engines make them.
func TestOwnerInCgroup(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	roots := cgroupRoots(t)
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", everything)
	id, unit := fmt.Sprintf("%064x", os.Getpid()), fmt.Sprintf("syntap-%d.service", os.Getpid())
	places := []struct{ path, unit, container string }{
		{"system.slice/" + unit, unit, ""},
		{"user.slice/user-1000.slice/user@1000.service/app.slice/user-" + unit, "user-" + unit, ""},
		{"machine.slice/libpod-" + id + ".scope/container", "libpod-" + id + ".scope", id},
		{"docker/" + id, "", id},
	}
	records := 0
	for _, root := range roots {
		for _, p := range places {
			dir := makeCgroup(t, root, p.path)
			lab.Router.Run("sh", "-c", "echo $$ > "+dir+"/cgroup.procs && exec curl -sS "+urls()[0])
			records++
			r.waitRecords(t, records)
			o := openingsOf(t, wholeLines(r.read(t, "handshakes.json")))[records-1]
			if o.Unit != p.unit || o.Container != p.container || o.Process != "curl" {
				t.Errorf("in %s: %+v, want unit %q and container %q", dir, o, p.unit, p.container)
			}
		}
	}
	r.stop(t, unix.SIGTERM)
}

// TestUnitWithoutProcess has a router that may not see the processes of other users. The kernel
// says in which cgroup their sockets were made.
func TestUnitWithoutProcess(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "setpriv")
	requireSetgroups(t)
	var dir string
	unit := fmt.Sprintf("syntap-%d-unseen.service", os.Getpid())
	for _, root := range cgroupRoots(t) {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil { // version 2
			dir = makeCgroup(t, root, "system.slice/"+unit)
		}
	}
	if dir == "" {
		t.Skip("needs cgroups of version 2")
	}
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := &router{dir: t.TempDir()}
	r.Process = lab.Router.Start("setpriv", "--no-new-privs", "--bounding-set=-all"+capabilities(t, unitFile),
		binary, "run", "-c", r.writeConfig(t, everything))
	r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
	lab.Router.Run("sh", "-c", "echo $$ > "+dir+"/cgroup.procs && exec setpriv --reuid=12345 --clear-groups curl -sS "+urls()[0])
	r.waitRecords(t, 1)
	r.stop(t, unix.SIGTERM)
	if o := openingsOf(t, r.read(t, "handshakes.json"))[0]; o.Unit != unit || o.PID != 0 {
		t.Errorf("%+v, want unit %s and no process", o, unit)
	}
}

// cgroupRoots returns where the hierarchies of systemd are mounted, of version 1 and of version 2.
func cgroupRoots(t *testing.T) (roots []string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		words := strings.Fields(line)
		if len(words) > 3 && (words[2] == "cgroup2" || words[2] == "cgroup" && strings.Contains(words[3], "name=systemd")) &&
			unix.Access(words[1], unix.W_OK) == nil {
			roots = append(roots, words[1])
		}
	}
	if len(roots) == 0 {
		t.Skip("needs a cgroup that it may write")
	}
	return roots
}

// makeCgroup makes a cgroup and those above it, which go with the test.
func makeCgroup(t *testing.T, root, path string) (dir string) {
	t.Helper()
	dir = root
	for part := range strings.SplitSeq(path, "/") {
		dir = filepath.Join(dir, part)
		switch err := os.Mkdir(dir, 0o755); {
		case err == nil:
			made := dir
			t.Cleanup(func() {
				tuntest.Wait(t, "the processes of a cgroup to be gone", func() bool {
					err := os.Remove(made)
					return err == nil || os.IsNotExist(err)
				})
			})
		case !os.IsExist(err):
			t.Skipf("cannot make a cgroup: %v", err)
		}
	}
	return dir
}
