package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// newRuled gives the lab's server names and a web server at all of its addresses. It returns the
// resolver, which says each question that it gets on standard error.
func newRuled(t *testing.T, lab *tuntest.Lab) *tuntest.Process {
	t.Helper()
	for _, a := range []string{resolver, addrOfWWW, addrOfShop, addrOfTwo, addrOfElse} {
		lab.Server.AddAddress("lo", a+"/32")
	}
	lab.Server.AddAddress("lo", addr6OfWWW+"/128")
	for _, port := range []string{":80", ":81", ":443"} {
		serveEach(t, lab.Server, port, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.0 204 No Content\r\n\r\n")
		})
	}
	return resolve(t, lab.Server, "--user=root", "--listen-address="+resolver+","+addrOfElse,
		"--local-ttl=300", "--local=/example.com/example.net/", "--log-queries",
		"--host-record=www.example.com,"+addrOfWWW+","+addr6OfWWW,
		"--host-record=one.example.com,"+addrOfTwo, "--host-record=two.example.com,"+addrOfTwo,
		"--cname=alias.example.com,cdn.example.net", "--host-record=cdn.example.net,"+addrOfShop,
		"--host-record=home.example.com,127.0.0.1", "--host-record=far.example.com,"+addrOfElse, "--host-record=meta.example.com,169.254.169.254")
}

// step is a command of a shell, and its exit status.
type step struct {
	command string
	want    string
}

// steps runs all of them in one shell by a command line, which is completed by the script, and
// compares the exit statuses.
func steps(t *testing.T, ns *tuntest.Namespace, line []string, all []step) result {
	t.Helper()
	var script strings.Builder
	for i, s := range all {
		fmt.Fprintf(&script, "%s >/dev/null 2>&1; echo %d $?\n", s.command, i)
	}
	got := command(t, ns, line[0], append(slices.Clone(line[1:]), script.String())...)
	var want strings.Builder
	for i, s := range all {
		fmt.Fprintf(&want, "%d %s\n", i, s.want)
	}
	if diff := cmp.Diff(want.String(), got.stdout); diff != "" {
		for i, s := range all {
			t.Log(i, s.command)
		}
		t.Errorf("exit statuses (-want +got):\n%s\n%s", diff, got.stderr)
	}
	return got
}

// ruledRecord is the keys of a record that say what the rules have decided.
type ruledRecord struct {
	Msg, Name, Dst, Verdict, Rule, Reason string
	DPort                                 int
	DNS                                   struct{ Queries []struct{ Name string } }
}

func ruledRecords(t *testing.T, log string) (all []ruledRecord) {
	t.Helper()
	for line := range strings.Lines(log) {
		var r ruledRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// TestAllowByName has a command reach what it may, and nothing else.
func TestAllowByName(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "ping", "unshare")
	lab := tuntest.NewLab(t)
	dns := newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	const curl = "curl -4 -s -m 60 "
	line := dir.asking(binary, "exec", "--names", "dns", "--format", "json", "-o", dir.path("log.json"),
		"--allow", "one.example.com:80", "--deny", "www.example.com:81", "--allow", "www.example.com",
		"--allow", "alias.example.com:80/tcp", "--allow", "home.example.com",
		"--allow", "meta.example.com", "--allow", "203.0.113.12:443", "--", "sh", "-c")
	steps(t, lab.Router, line, []step{
		{curl + "http://" + addrOfTwo, "7"}, // a literal address that was not asked for
		{curl + "http://one.example.com", "0"},
		{curl + "http://ONE.example.com.", "0"},
		{curl + "http://" + addrOfTwo, "0"}, // the command knows the name: see names: dns
		{curl + "http://one.example.com:81", "7"},
		{curl + "http://two.example.com", "6"}, // behind the same address
		{curl + "--resolve two.example.com:81:" + addrOfTwo + " http://two.example.com:81", "7"},
		{curl + "http://one.example.com.example.net", "6"},
		{curl + "http://www.example.com:443", "0"},
		{"curl -6 -s -m 60 http://www.example.com", "0"},
		{curl + "http://www.example.com:81", "7"},
		{curl + "http://alias.example.com", "0"}, // a name that leads to one which is not allowed
		{curl + "http://cdn.example.net", "6"},
		{curl + "http://home.example.com", "7"}, // rebinding
		{curl + "http://meta.example.com", "7"},
		{curl + "http://203.0.113.12:443", "0"},
		{curl + "http://203.0.113.12:81", "7"},
		{"ping -n -c1 -w30 www.example.com", "0"},
		{"ping -n -c1 -w30 " + addrOfTwo, "1"},
		{"dig +tries=1 +time=60 @" + addrOfElse + " one.example.com", "9"},      // another resolver
		{"dig +tries=1 +time=60 -p 80 @alias.example.com one.example.com", "9"}, // allowed by TCP
		{"dig +tries=1 +time=60 two.example.com | grep -q NXDOMAIN", "0"},
		{"dig +tries=1 +time=60 two.example.com | grep -q 'EDE: 15 (Blocked)'", "0"},
		{"dig +tries=1 +time=60 one.example.com | grep -q " + addrOfTwo, "0"},
		{"dig +tcp +tries=1 +time=60 one.example.com | grep -q " + addrOfTwo, "0"},
		{"dig +tcp +tries=1 +time=60 two.example.com | grep -q 'EDE: 15 (Blocked)'", "0"},
		{"dig +tcp +keepopen +tries=1 +time=60 one.example.com two.example.com one.example.com | grep -c " +
			addrOfTwo + " | grep -q 2", "0"},
		{"dig +tries=1 +time=60 TXT c2VjcmV0.two.example.com | grep -q NXDOMAIN", "0"},
	})
	for _, name := range []string{"two.example.com", "cdn.example.net from", "example.com.example.net"} {
		if strings.Contains(dns.Stderr(), "] "+name) {
			t.Errorf("the resolver was asked for %s:\n%s", name, dns.Stderr())
		}
	}
	log, err := os.ReadFile(dir.path("log.json"))
	if err != nil {
		t.Fatal(err)
	}
	checkRuled(t, ruledRecords(t, string(log)))
}

// checkRuled looks for the decisions of TestAllowByName.
func checkRuled(t *testing.T, all []ruledRecord) {
	t.Helper()
	for _, want := range []ruledRecord{
		{
			Msg: "handshake", Name: "one.example.com", Dst: addrOfTwo, DPort: 80, Verdict: "allow",
			Rule: "--allow one.example.com:80",
		},
		{Msg: "handshake", Dst: addrOfTwo, DPort: 80, Verdict: "deny", Rule: "default", Reason: "no rule allows it"},
		{
			Msg: "handshake", Name: "meta.example.com", Dst: "169.254.169.254", DPort: 80, Verdict: "deny",
			Rule:   "egress.deny",
			Reason: "egress.deny forbids link-local addresses to clients that are not programs of this host",
		},
		{
			Msg: "handshake", Name: "www.example.com", Dst: addrOfWWW, DPort: 81, Verdict: "deny",
			Rule: "--deny www.example.com:81", Reason: "--deny www.example.com:81 forbids it",
		},
		{Msg: "datagram", Name: "www.example.com", Dst: addrOfWWW, Verdict: "allow", Rule: "--allow www.example.com"},
	} {
		same := func(r ruledRecord) bool {
			r.DNS.Queries = nil
			return cmp.Equal(r, want)
		}
		if !slices.ContainsFunc(all, same) {
			t.Errorf("no record is like %+v", want)
		}
	}
	asked := func(r ruledRecord) bool {
		return r.Msg == "datagram" && r.Verdict == "deny" && len(r.DNS.Queries) == 1 &&
			r.DNS.Queries[0].Name == "two.example.com" && r.Reason == "no rule allows it"
	}
	if !slices.ContainsFunc(all, asked) {
		t.Errorf("no record says that the question for two.example.com was denied:\n%+v", all)
	}
}

// TestStrict has a command say other names than those by which it connects.
func TestStrict(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dnsmasq", "python3", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	got := make(chan string, 10)
	serveEach(t, lab.Server, ":8080", func(c net.Conn) {
		b, _ := io.ReadAll(io.LimitReader(c, 1))
		got <- string(b)
		_, _ = io.WriteString(c, "HTTP/1.0 204 No Content\r\n\r\n")
	})
	dir := newEtc(t, "nameserver "+resolver+"\n")
	dir.write(t, "policy.yaml", `
egress:
  strict: true
  default: deny
  rules: [{name: [one.example.com, www.example.com], verdict: allow}]
`)
	dir.write(t, "quic", string(quicInitial(t, "quic.example")))
	line := dir.asking(binary, "exec", "-o", dir.path("log.json"), "--format", "json",
		"--explain", dir.path("explain.json"), "--policy", dir.path("policy.yaml"), "--", "sh", "-c")
	const curl = "curl -4 -k -s -m 60 "
	told := steps(t, lab.Router, line, []step{
		{curl + "http://one.example.com:8080", "0"},
		{curl + "-H 'Host: evil.example' http://one.example.com:8080", "56"},
		{curl + "https://www.example.com:8080 --connect-to www.example.com:8080:one.example.com:8080", "35"},
		{curl + "http://one.example.com:8080", "0"},
		{python(quicClient), "0"},
	})
	checkContradictions(t, dir.path("explain.json"), told.stderr)
	quiet := dir.asking(binary, "exec", "-o", dir.path("log.txt"), "--policy", dir.path("policy.yaml"), "--", "sh", "-c")
	steps(t, lab.Router, quiet, []step{ // without records of names
		{curl + "http://one.example.com:8080", "0"},
		{curl + "-H 'Host: evil.example' http://one.example.com:8080", "56"},
	})
	for range 6 {
		select {
		case b := <-got:
			if b != "G" && b != "" {
				t.Errorf("a byte of a forbidden connection has left: %q", b)
			}
		case <-time.After(tuntest.Patience):
			t.Fatal("the server has seen fewer connections")
		}
	}
}

// quicClient sends the first datagram of a client until it is told that it may not.
const quicClient = `s = socket.socket(type=socket.SOCK_DGRAM)
s.connect(("one.example.com", 443)); s.settimeout(.1)
while True:
    try: s.send(open("/etc/quic", "rb").read()); s.recv(1)
    except TimeoutError: pass
    except OSError: break`

// checkContradictions checks what TestStrict's command is told.
func checkContradictions(t *testing.T, file, stderr string) {
	t.Helper()
	python, err := filepath.EvalSymlinks(programPath(t, "python3"))
	if err != nil {
		t.Fatal(err)
	}
	python = filepath.Base(python)
	line := "syntap: 2 denied: one.example.com:8080 (curl, 2 times), one.example.com:443/udp (" + python + "); " +
		"hint: egress.strict: false lets it pass\n"
	if stderr != line {
		t.Errorf("standard error (-want +got):\n%s", cmp.Diff(line, stderr))
	}
	of := func(proto, process, target, reason string) explained {
		return explained{
			Proto: proto, Name: "one.example.com", Process: process, Target: target, Rule: "egress.strict",
			Reason: reason, Hint: "egress.strict: false lets it pass",
		}
	}
	want := []explained{
		of("tcp", "curl", "one.example.com:8080", "its HTTP request is for evil.example"),
		of("tcp", "curl", "one.example.com:8080", "its TLS asks for www.example.com"),
		of("udp", python, "one.example.com:443/udp", "its TLS asks for quic.example"),
	}
	if diff := cmp.Diff(want, explainedIn(t, file)); diff != "" {
		t.Errorf("explanations (-want +got):\n%s", diff)
	}
}

// TestRulesOfGateway has a gateway pass on what its rules allow, and take others at a reload.
func TestRulesOfGateway(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dnsmasq", "unshare", "setpriv")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	config := func(rules string) string {
		return `
tun: {name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]}
route: {include: [203.0.113.0/24, "2001:db8:3::/64"]}
egress:
  default: deny
  rules: [` + rules + `]
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`
	}
	r := run(t, lab.Router, "syntap0", config(`{dst: `+resolver+`, ports: 53, verdict: allow},
    {name: "*.example.com", ports: [80], verdict: allow}, {uid: [12345], dst: `+addrOfShop+`, verdict: allow}`))
	dir := newEtc(t, "nameserver "+resolver+"\n")
	const curl = "curl -4 -s -m 60 "
	steps(t, lab.Client, dir.asking("sh", "-c"), []step{
		{curl + "http://one.example.com", "0"},
		{curl + "http://one.example.com:81", "7"},
		{curl + "http://cdn.example.net", "6"},
		{curl + "http://" + addrOfShop, "7"},
	})
	as := func(uid string) []string {
		return []string{"setpriv", "--reuid=" + uid, "--clear-groups", "sh", "-c"}
	}
	steps(t, lab.Router, as("12345"), []step{{curl + "http://" + addrOfShop, "0"}})
	steps(t, lab.Router, as("12346"), []step{{curl + "http://" + addrOfShop, "7"}})
	steps(t, lab.Router, dir.asking("sh", "-c"), []step{{curl + "http://two.example.com", "0"}})

	r.writeConfig(t, config(`{dst: `+resolver+`, ports: 53, verdict: allow}, {name: "*.example.net", verdict: allow}`))
	r.Signal(unix.SIGHUP)
	r.wait(t, "the reload", func() bool { return strings.Contains(r.Stderr(), "config reloaded") })
	steps(t, lab.Client, dir.asking("sh", "-c"), []step{
		{curl + "http://one.example.com", "6"},
		{curl + "http://cdn.example.net", "0"},
	})
	r.stop(t, unix.SIGTERM)
}

// TestAllowBesideLocalResolver has a command whose resolver is one of the host's loopback, which it
// reaches by the gateway's address. With the resolver it may exchange queries for allowed names,
// and nothing else.
func TestAllowBesideLocalResolver(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "nc", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dns := resolve(t, lab.Router, "--user=root", "--listen-address=127.0.0.1", "--server="+resolver, "--log-queries")
	dir := newEtc(t, "nameserver 127.0.0.1\n")
	const curl = "curl -4 -s -m 60 "
	line := dir.asking(binary, "exec", "--names", "dns", "-o", dir.path("log.txt"),
		"--allow", "one.example.com:80/tcp", "--", "sh", "-c")
	steps(t, lab.Router, line, []step{
		{curl + "http://one.example.com", "0"},
		{curl + "http://two.example.com", "6"},
		{curl + "http://" + addrOfWWW, "7"},
		{"dig +tries=1 +time=60 two.example.com | grep -q 'EDE: 15 (Blocked)'", "0"},
		{"dig +tcp +tries=1 +time=60 two.example.com | grep -q 'EDE: 15 (Blocked)'", "0"},
		{"dig +tcp +tries=1 +time=60 one.example.com | grep -q " + addrOfTwo, "0"},
		{"dig +opcode=notify +tries=1 +time=60 one.example.com", "9"},
		{"dig +tcp +opcode=notify +tries=1 +time=60 one.example.com", "9"},
	})
	if asked := dns.Stderr(); strings.Contains(asked, "two.example.com") {
		t.Errorf("the resolver was asked:\n%s", asked)
	}
}
