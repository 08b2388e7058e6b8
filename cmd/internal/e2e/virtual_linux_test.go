package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

// Further addresses of the lab's server for TestVirtualNames.
const (
	deadAddr   = "203.0.113.200" // the server drops packets to it
	deadAddr6  = "2001:db8:3::200"
	onlyV6     = "2001:db8:3::66"
	secondAddr = "203.0.113.12"
)

// newVirtual has the lab's server resolve names and serve them: TCP port 22 greets, UDP port 7
// echoes.
func newVirtual(t *testing.T, lab *tuntest.Lab, options ...string) {
	t.Helper()
	for _, a := range []string{resolver, addrOfWWW, secondAddr, addrOfElse} {
		lab.Server.AddAddress("lo", a+"/32")
	}
	for _, a := range []string{addr6OfWWW, onlyV6} {
		lab.Server.AddAddress("lo", a+"/128")
	}
	lab.Server.Run("ip", "route", "add", "blackhole", deadAddr+"/32")
	lab.Server.Run("ip", "-6", "route", "add", "blackhole", deadAddr6+"/128")
	serveEach(t, lab.Server, ":22", func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-test\r\n") })
	resolve(t, lab.Server, append([]string{
		"--user=root", "--listen-address=" + resolver, "--local=/#/",
		"--host-record=www.example.com," + addrOfWWW + "," + addr6OfWWW,
		"--host-record=other.example.com," + addrOfWWW,
		"--host-record=v6.example.com," + onlyV6,
		"--host-record=half.example.com," + deadAddr, "--host-record=half.example.com," + secondAddr,
		"--host-record=dead6.example.com," + secondAddr + "," + deadAddr6,
		"--host-record=loop.example.com,127.0.0.1", "--host-record=meta.example.com,169.254.169.254",
		"--host-record=own.example.com," + tuntest.RouterAddr4,
		"--host-record=cdn.example.net," + secondAddr, "--cname=alias.example.com,cdn.example.net",
		"--txt-record=www.example.com,hello", "--mx-host=www.example.com,mx.example.com,5",
		"--srv-host=_ssh._tcp.example.com,www.example.com,22",
	}, options...)...)
}

// byName runs a shell script by exec with virtual names and returns its result, without an error of
// exec itself.
func byName(t *testing.T, lab *tuntest.Lab, script string, flags ...string) result {
	t.Helper()
	dir := newEtc(t, "nameserver "+resolver+"\n")
	args := append([]string{"--names", "virtual"}, flags...)
	return command(t, lab.Router, "unshare", dir.exec(append(args, "--", "sh", "-c", script)...)...)
}

// TestVirtualNames has real programs know servers by virtual addresses.
func TestVirtualNames(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "curl", "dig", "dnsmasq", "getent", "nc", "ping", "python3", "unshare")
	lab := tuntest.NewLab(t)
	newVirtual(t, lab)
	serveEach(t, lab.Server, ":80", func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		body := "hello, " + host + "\n"
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})
	for _, a := range []string{addrOfWWW, secondAddr, addr6OfWWW} {
		echoUDP(t, lab.Server.ListenPacket("udp", net.JoinHostPort(a, "7")))
	}
	nc := programPath(t, "nc") + " -w 30 "
	// Linux wakes poll(2) by an ICMP error before SO_ERROR has it: nc may say that it is connected.
	const refused = "bash -c ': </dev/tcp/%s' 2>&1"
	const ask = "for i in $(seq %d); do echo ${i}%s.many.example.com; done | dig -f -"
	for _, tt := range []struct{ name, script, want string }{
		{"curl", "curl -sS http://www.example.com/", "hello, "},
		{"curl -4", "curl -4 -sS http://www.example.com/", "hello, " + tuntest.RouterAddr4},
		{"curl -6", "curl -6 -sS http://www.example.com/", "hello, " + tuntest.RouterAddr6},
		{"mixed case, final dot", "curl -sS http://WWW.Example.com./", "hello, "},
		{"getent", "getent ahostsv4 www.example.com", "198.1"},
		{"getent, IPv6", "getent ahostsv6 www.example.com", "fd"},
		{"ssh's greeting", nc + "www.example.com 22 </dev/null", "SSH-2.0-test"},
		{"IPv6 only", nc + "v6.example.com 22 </dev/null", "SSH-2.0-test"},
		{"the first address is dead", nc + "half.example.com 22 </dev/null", "SSH-2.0-test"},
		{"IPv6 is dead", nc + "-6 dead6.example.com 22 </dev/null", "SSH-2.0-test"},
		{"alias", nc + "alias.example.com 22 </dev/null", "SSH-2.0-test"},
		{"UDP", pythonUDP + "www.example.com", "echo"},
		{"UDP, the first address is dead", pythonUDP + "half.example.com", "echo"},
		{"ping", "ping -n -c 1 -w 30 www.example.com", " 0% packet loss"},
		{"ping -6", "ping -6 -n -c 1 -w 30 v6.example.com", " 0% packet loss"},
		{"ping, the first address is dead", "ping -n -c 1 -w 30 half.example.com", " 1 received"},
		{"rebinding to loopback", fmt.Sprintf(refused, "loop.example.com/22"), "No route to host"},
		{"rebinding to the metadata service", fmt.Sprintf(refused, "meta.example.com/80"), "No route to host"},
		{"rebinding to the host", fmt.Sprintf(refused, "own.example.com/22"), "No route to host"},
		{"a literal virtual address", fmt.Sprintf(refused, "198.19.7.7/22"), "No route to host"},
		{"no such name", "curl -sS http://no.example.com/ 2>&1", "Could not resolve host"},
		{"TXT", "dig +short TXT www.example.com", "hello"},
		{"TXT over TCP", "dig +tcp +short TXT www.example.com", "hello"},
		{"MX", "dig +short MX www.example.com", "5 mx.example.com."},
		{"SRV", "dig +short SRV _ssh._tcp.example.com", "22 www.example.com."},
		{"PTR", "dig +short -x $(dig +short www.example.com)", "www.example.com."},
		{"PTR of nothing", "for i in 7 8 9; do dig -x 198.19.7.$i; done", "NXDOMAIN"},
		{"AD", "dig +dnssec www.example.com", "Forged"},
		{"DNS tunnel", fmt.Sprintf(ask, 200, strings.Repeat("q", 50)), "REFUSED"},
		{"many names", fmt.Sprintf(ask, 200, "x") + " | grep -c NXDOMAIN", "200\n"},
		{"exec in exec", binary + " exec --names virtual -o /dev/null -- curl -sS http://www.example.com/", "hello, "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := byName(t, lab, tt.script); !strings.Contains(got.stdout, tt.want) {
				t.Errorf("%s: %+v, want %q", tt.script, got, tt.want)
			}
		})
	}
}

// echoUDP has a socket return each datagram.
func echoUDP(t *testing.T, conn net.PacketConn) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(b[:n], from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

// pythonUDP sends a datagram once a second until an answer comes, and prints it.
const pythonUDP = `python3 -c 'import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
s.settimeout(1)
s.connect((sys.argv[1], 7))
for i in range(30):
    s.send(b"echo")
    try: print(s.recv(9).decode()); break
    except OSError: pass' `

// TestVirtualRecords reads the records of a command that knows servers by virtual addresses.
func TestVirtualRecords(t *testing.T) {
	t.Parallel()
	requireTools(t, "dnsmasq", "nc", "ping", "unshare")
	lab := tuntest.NewLab(t)
	newVirtual(t, lab)
	script := strings.ReplaceAll(`nc -4 -w 30 www.example.com 22 </dev/null; nc -4 -w 30 other.example.com 22 </dev/null
		nc -w 30 half.example.com 22 </dev/null; nc -w 30 loop.example.com 22 </dev/null
		ping -4 -n -c 1 -w 30 www.example.com; nc -w 30 `+addrOfWWW+` 22 </dev/null`, "nc ", programPath(t, "nc")+" ")
	dir := newEtc(t, "nameserver "+resolver+"\n")
	log := dir.path("log.json")
	line := dir.asking(binary, "exec", "--names", "virtual", "--format", "json", "-o", log, "--", "sh", "-c", script)
	got := command(t, lab.Router, line[0], line[1:]...)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	stands := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		var r struct {
			Msg, Proto, Dst, Verdict, Rule, Reason, Outcome string
			DPort                                           int
			Name                                            string
			Source                                          string `json:"name_source"`
			Conflict                                        bool   `json:"name_conflict"`
			Upstream                                        struct{ Remote string }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.DPort == 53 || r.Msg != "handshake" && r.Msg != "datagram" {
			continue
		}
		if r.Name != "" {
			if before := stands[r.Dst]; before != "" && before != r.Name {
				t.Errorf("%s stands for %s and %s", r.Dst, before, r.Name)
			}
			stands[r.Dst] = r.Name
			if a := netip.MustParseAddr(r.Dst); !netip.MustParsePrefix("198.18.0.0/15").Contains(a) {
				t.Errorf("%s has the address %s", r.Name, a)
			}
		}
		all = append(all, strings.Join([]string{r.Proto, r.Name, r.Source, r.Verdict, r.Rule, r.Upstream.Remote}, " "))
	}
	want := []string{
		"tcp www.example.com virtual allow default " + addrOfWWW + ":22",
		"tcp other.example.com virtual allow default " + addrOfWWW + ":22",
		"tcp half.example.com virtual allow default " + secondAddr + ":22",
		"tcp loop.example.com virtual deny egress.deny ",
		"icmp www.example.com virtual allow default " + addrOfWWW + ":0",
		"tcp   allow default " + addrOfWWW + ":22",
	}
	if strings.Join(all, "\n") != strings.Join(want, "\n") {
		t.Errorf("records\n%s\nwant\n%s\n%+v", strings.Join(all, "\n"), strings.Join(want, "\n"), got)
	}
}

// TestAllowByVirtualName has a command reach the names that it may, and nothing else, even behind
// their addresses.
func TestAllowByVirtualName(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "ping", "unshare")
	lab := tuntest.NewLab(t)
	dns := newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	const curl, dig = "curl -4 -k -s -m 60 ", "dig +tries=1 +time=60 "
	line := dir.asking(binary, "exec", "--format", "json", "-o", dir.path("log.json"),
		"--allow", "one.example.com:80/tcp", "--deny", "www.example.com:81", "--allow", "*.example.com:81",
		"--allow", "www.example.com", "--allow", "alias.example.com", "--allow", "home.example.com",
		"--allow", "meta.example.com", "--deny", "203.0.113.15/32", "--allow", "far.example.com",
		"--", "sh", "-c")
	steps(t, lab.Router, line, []step{
		{curl + "http://one.example.com", "0"},
		{curl + "http://ONE.example.com.", "0"},
		{curl + "http://" + addrOfTwo, "7"}, // the address that the name has
		{curl + "--resolve one.example.com:80:" + addrOfTwo + " http://one.example.com", "7"},
		{curl + "http://one.example.com:81", "0"},
		{curl + "http://one.example.com:443", "7"},
		{dig + "two.example.com | grep -q 'ANSWER: 1'", "0"}, // for port 81
		{curl + "http://two.example.com", "7"},               // behind the same address
		{curl + "http://two.example.com:81", "0"},
		{curl + "http://x.two.example.net:81", "6"},
		{curl + "http://example.com:81", "6"}, // no label before the domain
		{curl + "http://alias.example.com", "0"},
		{curl + "http://cdn.example.net", "6"},
		{curl + "http://www.example.com:443", "0"},
		{"curl -6 -s -m 60 http://www.example.com", "0"},
		{curl + "http://www.example.com:81", "7"},
		{curl + "http://home.example.com", "7"}, // rebinding
		{curl + "http://meta.example.com", "7"},
		{curl + "http://far.example.com", "7"}, // to an address that a rule denies
		{"ping -n -c1 -w30 www.example.com", "0"},
		{"ping -n -c1 -w30 one.example.com", "1"},
		{dig + "-p 81 @one.example.com x.example.com", "9"}, // UDP to a name for TCP
		{dig + "@" + addrOfElse + " one.example.com", "9"},  // another resolver
		{dig + "two.example.org | grep -q 'EDE: 15 (Blocked)'", "0"},
		{dig + "+tcp two.example.org | grep -q NXDOMAIN", "0"},
		{dig + "+short -x $(" + dig + "+short one.example.com) | grep -q one.example.com", "0"},
		{dig + "+tcp +short -x $(" + dig + "+short one.example.com) | grep -q one.example.com", "0"},
		{dig + "-x 198.19.7.7 | grep -q NXDOMAIN", "0"},
		{dig + "-x " + addrOfTwo + " | grep -q Blocked", "0"},
		{dig + "TXT c2VjcmV0.example.org | grep -q NXDOMAIN", "0"},
	})
	for _, name := range []string{"example.org", "x.two.example.net", "cdn.example.net from", "in-addr.arpa"} {
		if strings.Contains(dns.Stderr(), name) {
			t.Errorf("the resolver was asked for %s:\n%s", name, dns.Stderr())
		}
	}
	log, err := os.ReadFile(dir.path("log.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ruledRecords(t, string(log)) {
		if r.Verdict != "allow" || r.DPort == 53 {
			continue
		}
		literal := netip.MustParsePrefix("203.0.113.0/24").Contains(netip.MustParseAddr(r.Dst))
		if r.Name == "" || literal {
			t.Errorf("allowed without a virtual name: %+v", r)
		}
	}
}

// TestHintOfRebinding follows the hint that a command gets whose allowed name is one of the host's
// own addresses: the flag has the real address, behind the name's flag as well.
func TestHintOfRebinding(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	run := func(flags ...string) string {
		line := dir.asking(append([]string{binary, "exec", "--allow", "home.example.com"}, flags...)...)
		line = append(line, "--", "curl", "-4", "-s", "-m", "60", "http://home.example.com/")
		return command(t, lab.Router, line[0], line[1:]...).stderr
	}
	const denied = "syntap: 1 denied: home.example.com:80 (curl); hint: "
	if got := run(); !strings.Contains(got, denied+"--allow 127.0.0.1:80\n") {
		t.Errorf("stderr:\n%s\nwant the hint to have the real address", got)
	}
	if got := run("--allow", "127.0.0.1:80"); strings.Contains(got, "denied") {
		t.Errorf("with the flag of the hint:\n%s", got)
	}
}
