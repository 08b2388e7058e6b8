package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// The names that the resolver of TestNames knows, and addresses of the lab's server.
const (
	resolver   = "203.0.113.53"
	addrOfWWW  = "203.0.113.11"
	addr6OfWWW = "2001:db8:3::11"
	addrOfShop = "203.0.113.12"
	addrOfTwo  = "203.0.113.13" // one.example.com and two.example.com
	addrOfHour = "203.0.113.14" // TTL 1 s
	addrOfElse = "203.0.113.15"
)

// newNamed gives the lab's server these addresses and a resolver. On all addresses it greets each
// client at port 22, as SSH does, and closes.
func newNamed(t *testing.T, lab *tuntest.Lab) {
	t.Helper()
	for _, a := range []string{resolver, addrOfWWW, addrOfShop, addrOfTwo, addrOfHour, addrOfElse} {
		lab.Server.AddAddress("lo", a+"/32")
	}
	lab.Server.AddAddress("lo", addr6OfWWW+"/128")
	serveEach(t, lab.Server, ":22", func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-test\r\n") })
	resolve(t, lab.Server, "--user=root", "--listen-address="+resolver,
		"--local-ttl=300", "--local=/example.com/example.net/",
		"--host-record=www.example.com,"+addrOfWWW+","+addr6OfWWW,
		"--host-record=cdn.example.net,"+addrOfShop, "--cname=shop.example.com,front.example.net,cdn.example.net",
		"--host-record=one.example.com,"+addrOfTwo, "--host-record=two.example.com,"+addrOfTwo,
		"--host-record=hour.example.com,"+addrOfHour+",1", "--host-record=else.example.com,"+addrOfElse)
}

// serveEach has f answer each connection to a port of ns.
func serveEach(t *testing.T, ns *tuntest.Namespace, port string, f func(net.Conn)) {
	t.Helper()
	l := ns.Listen("tcp", port)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
}

// resolve starts a resolver in ns.
func resolve(t *testing.T, ns *tuntest.Namespace, args ...string) *tuntest.Process {
	t.Helper()
	dnsmasq := ns.Start("dnsmasq", append([]string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--group=", "--pid-file=",
		"--log-facility=-", "--bind-interfaces",
	}, args...)...)
	tuntest.Wait(t, "dnsmasq to start", func() bool { return strings.Contains(dnsmasq.Stderr(), "started") })
	return dnsmasq
}

// asking returns the command line by which a program runs with the resolver.
func (e etc) asking(args ...string) []string {
	const script = `mount --bind "$0" /etc && exec "$@"`
	return append([]string{"unshare", "--mount", "sh", "-c", script, string(e)}, args...)
}

// visit is a program's connection to a host by its name or address, as "nc" makes it, and the names
// that the record is to have, in order.
type visit struct {
	host  string
	flags string
	want  string
}

// visits are those of a client that asks the resolver.
var visits = []visit{
	{addrOfWWW, "", ""}, // not asked for yet
	{"www.example.com", "-4", "www.example.com"},
	{"www.example.com", "-6", "www.example.com"},
	{addr6OfWWW, "", "www.example.com"}, // as a program does that has kept the address
	{"shop.example.com", "-4", "shop.example.com"},
	{"one.example.com", "-4", "one.example.com"},
	{"two.example.com", "-4", "two.example.com one.example.com"},
	{"one.example.com", "-4", "one.example.com two.example.com"},
	{"hour.example.com", "-4", "hour.example.com"},
	{"TTL over", "", ""},
	{addrOfHour, "", "hour.example.com"},
	{addrOfElse, "", ""},
}

// script returns a shell script that makes all visits.
func script(t *testing.T, all []visit) string {
	t.Helper()
	path := programPath(t, "nc")
	var b strings.Builder
	b.WriteString("set -e; began=$(date +%s)\n")
	for _, k := range all {
		if k.host == "TTL over" {
			b.WriteString("until [ $(date +%s) -gt $((began+2)) ]; do sleep 0.1; done\n")
			continue
		}
		fmt.Fprintf(&b, "%s -w 30 %s %s 22 </dev/null | grep -q SSH\n", path, k.flags, k.host)
	}
	return b.String()
}

// programPath returns the path of a program itself; links to it may lie in /etc.
func programPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// namedRecord is a record's account of the server.
type namedRecord struct {
	Msg, Proto, Src, Dst string
	DPort                int
	Name                 string
	Source               string `json:"name_source"`
	Names                []string
	Conflict             bool `json:"name_conflict"`
	DNS                  json.RawMessage
}

// checkNames checks the records of a client's visits in a log, and the ends of the connections.
func checkNames(t *testing.T, log string, ofClient func(src string) bool, all []visit) {
	t.Helper()
	var want []string
	for _, k := range all {
		if k.host != "TTL over" {
			want = append(want, k.want)
		}
	}
	got := make(map[string][]string)
	for line := range strings.Lines(log) {
		var r namedRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.DPort != 22 || !ofClient(r.Src) {
			continue
		}
		if (r.Source == "dns") != (r.Name != "") || r.Conflict {
			t.Errorf("record %s", line)
		}
		names := strings.TrimSpace(strings.Join(append([]string{r.Name}, r.Names...), " "))
		got[r.Msg] = append(got[r.Msg], names)
	}
	if diff := cmp.Diff(want, got["handshake"]); diff != "" {
		t.Errorf("names of handshakes (-want +got):\n%s", diff)
	}
	slices.Sort(want)
	slices.Sort(got["flow"]) // whose end is a little later
	if diff := cmp.Diff(want, got["flow"]); diff != "" {
		t.Errorf("names of flows (-want +got):\n%s", diff)
	}
}

// TestNamesOfMachines has machines behind the router ask for names and connect. None has the names
// for which another has asked.
func TestNamesOfMachines(t *testing.T) {
	t.Parallel()
	requireTools(t, "dnsmasq", "nc", "unshare")
	lab := tuntest.NewLab(t)
	other := tuntest.NewNamespace(t)
	lab.Router.Join("lan1", other, "eth0")
	lab.Router.AddAddress("lan1", "203.0.113.129/28")
	other.AddAddress("eth0", "203.0.113.130/28")
	other.AddRoute("0.0.0.0/0", "203.0.113.129")
	newNamed(t, lab)
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "name: syntap0",
		`name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64", 203.0.113.128/28]`, 1)+
		"http: {listen: \"unix:DIR/http.sock\"}\n")
	dir := newEtc(t, "nameserver "+resolver+"\n")
	others := []visit{{"else.example.com", "-4", "else.example.com"}, {addrOfWWW, "", ""}}
	visitFrom := func(ns *tuntest.Namespace, all []visit) {
		line := dir.asking("sh", "-c", script(t, all))
		ns.Run(line[0], line[1:]...)
	}
	visitFrom(other, others)
	visitFrom(lab.Client, visits)
	r.waitRecords(t, len(visits)-1+len(others))
	lab.Client.Run("ping", "-c", "1", "-w", "30", addrOfShop)
	r.wait(t, "names to be in use by none but the ping", func() bool {
		report := lab.Router.Run(binary, "status", "--at", "unix:"+filepath.Join(r.dir, "http.sock"))
		return strings.Contains(report, "names       addresses 6, in use 1, evicted 0")
	})
	r.stop(t, unix.SIGTERM)
	log := r.read(t, "handshakes.json")
	isOther := func(src string) bool { return src == "203.0.113.130" }
	ping := regexp.MustCompile(`"msg":"datagram".*"proto":"icmp".*"name":"shop.example.com"`)
	if !ping.MatchString(log) {
		t.Error("the record of the ping has no name")
	}
	checkNames(t, log, isOther, others)
	checkNames(t, log, func(src string) bool { return !isOther(src) }, visits)
}

// TestNamesOfUsers has users of the router's host ask for names, first by themselves, then through
// a resolver of the host, and connect.
func TestNamesOfUsers(t *testing.T) {
	t.Parallel()
	requireTools(t, "dnsmasq", "nc", "setpriv", "unshare")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	newNamed(t, lab)
	resolve(t, lab.Router, "--user=nobody", "--listen-address=127.0.0.1", "--server="+resolver)
	r := run(t, lab.Router, "syntap0", everything)
	direct, through := newEtc(t, "nameserver "+resolver+"\n"), newEtc(t, "nameserver 127.0.0.1\n")
	visitAs := func(user string, dir etc, all []visit) {
		t.Helper()
		line := dir.asking("setpriv", "--reuid="+user, "--clear-groups", "sh", "-c", script(t, all))
		lab.Router.Run(line[0], line[1:]...)
	}
	first := visits
	second := []visit{{addrOfWWW, "", ""}, {addrOfShop, "", ""}, {"else.example.com", "-4", "else.example.com"}}
	third := []visit{
		{"shop.example.com", "-4", "shop.example.com"}, // asked for by the resolver
		{"two.example.com", "-4", "two.example.com"},
	}
	fourth := []visit{
		{addrOfShop, "", "shop.example.com"}, // it may have asked the resolver, which would have known
		{"two.example.com", "-4", "two.example.com"},
		{addrOfElse, "", ""},
	}
	visitAs("12345", direct, first)
	visitAs("12346", direct, second)
	visitAs("12347", through, third)
	visitAs("12348", through, fourth)
	all := slices.Concat(first, second, third, fourth)
	r.waitRecords(t, len(all)-1)
	r.stop(t, unix.SIGTERM)
	checkNames(t, r.read(t, "handshakes.json"), func(string) bool { return true }, all)
}

// TestNamesOfExec has a command ask for names and connect.
func TestNamesOfExec(t *testing.T) {
	t.Parallel()
	requireTools(t, "dnsmasq", "nc", "unshare")
	lab := tuntest.NewLab(t)
	newNamed(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	line := dir.asking(binary, "exec", "--format", "json", "-o", dir.path("log.json"), "--", "sh", "-c", script(t, visits))
	if got := command(t, lab.Router, line[0], line[1:]...); got.status != 0 {
		t.Fatalf("the command ended with %+v", got)
	}
	log, err := os.ReadFile(dir.path("log.json"))
	if err != nil {
		t.Fatal(err)
	}
	checkNames(t, string(log), func(string) bool { return true }, visits)
}

// TestNameConflict has a command say other names than the one by which it knows the server.
func TestNameConflict(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newNamed(t, lab)
	for _, port := range []string{":80", ":443"} {
		serveEach(t, lab.Server, port, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.0 204 No Content\r\n\r\n")
		})
	}
	var commands []string
	var want []string
	for _, tt := range []struct{ command, name, conflict string }{
		{"http://" + addrOfTwo + " -H 'Host: evil.example'", "", ""},
		{"http://one.example.com", "one.example.com", ""},
		{"http://one.example.com -H 'Host: one'", "one.example.com", ""},
		{"http://one.example.com -H 'Host: evil.example'", "one.example.com", "conflict"},
		{"http://two.example.com -H 'Host: one.example.com'", "two.example.com", ""},
		{"https://two.example.com", "two.example.com", ""},
		{"https://evil.example --connect-to evil.example:443:two.example.com:443", "two.example.com", "conflict"},
	} {
		commands = append(commands, "curl -4 -k -s "+tt.command)
		want = append(want, strings.TrimSpace(tt.name+" "+tt.conflict))
	}
	// A name that is asked for by TCP alone.
	commands = append(commands, "dig +tcp +short @"+resolver+" shop.example.com", "curl -s http://"+addrOfShop)
	want = append(want, "shop.example.com")
	dir := newEtc(t, "nameserver "+resolver+"\n")
	script := strings.Join(commands, "; ")
	line := dir.asking(binary, "exec", "--format", "json", "-o", dir.path("log.json"), "--", "sh", "-c", script)
	command(t, lab.Router, line[0], line[1:]...)
	log, err := os.ReadFile(dir.path("log.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(log)) {
		var r namedRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Msg == "flow" && (r.DPort == 80 || r.DPort == 443) {
			got = append(got, strings.TrimSpace(r.Name+" "+map[bool]string{true: "conflict"}[r.Conflict]))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names of flows (-want +got):\n%s\n%s", diff, log)
	}
}
