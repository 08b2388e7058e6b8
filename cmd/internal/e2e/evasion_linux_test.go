package e2e_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/inspect/inspecttest"
	"syntap/tun/tuntest"
)

// TestEvadeAllowList has a command try to reach more than it may, in ways that
// TestAllowByVirtualName does not have. No forbidden byte leaves; all that is allowed works.
func TestEvadeAllowList(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "curl", "dig", "dnsmasq", "nc", "nsenter", "python3", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	lab.Server.AddAddress("lo", onlyV6+"/128")
	lab.Server.AddAddress("lo", addrOfHour+"/32")
	resolve(t, lab.Server, "--user=root", "--listen-address="+addrOfHour, "--local=/#/",
		"--host-record=one.example.com,"+addrOfTwo, "--host-record=two.example.com,"+addrOfTwo,
		"--host-record=v6.example.com,"+onlyV6, "--host-record=also6.example.com,"+onlyV6)
	heard := newEar(t, lab)
	serveDoH(t, lab)
	dir := newEtc(t, "nameserver "+addrOfHour+"\n")
	dir.write(t, "hosts", "127.0.0.1 localhost\n"+addrOfShop+" table.example.com\n")
	dir.write(t, "own", addrOfTwo+" one.example.com\n")
	dir.write(t, "ech", string(helloWithECH(t, "two.example.com")))
	dir.write(t, "policy.yaml", `
egress:
  strict: true
  default: deny
  rules:
    - {name: [one.example.com, v6.example.com, table.example.com], ports: [80, 443, 8443], proto: tcp, verdict: allow}
`)
	const curl = "curl -k -s -m 60 "
	nc := programPath(t, "nc") + " -w 30 "
	inherited := "exec 7<>/dev/udp/" + addrOfTwo + "/443 && exec \"$@\""
	line := dir.asking("bash", "-c", inherited, "bash", binary, "exec", "-o", "/dev/null",
		"--policy", dir.path("policy.yaml"), "--", "sh", "-c")
	steps(t, lab.Router, line, []step{
		{curl + "http://one.example.com", "0"},
		{curl + "-H 'Host: two.example.com' http://one.example.com:443", "56"}, // behind the same address
		{curl + "https://two.example.com:443 --connect-to two.example.com:443:one.example.com:443", "35"},
		{curl + "https://one.example.com:443 --resolve one.example.com:443:" + addrOfTwo, "7"}, // forged SNI
		{nc + "-N one.example.com 443 </etc/ech | grep -q .", "1"},
		{curl + "--doh-insecure --doh-url https://one.example.com:8443/ http://two.example.com", "7"},
		{curl + "-6 http://v6.example.com", "0"},
		{curl + "-6 http://also6.example.com", "6"},
		{curl + "-6 http://[" + onlyV6 + "]", "7"},
		{python(`s = socket.socket(type=socket.SOCK_DGRAM)
s.connect(("one.example.com", 443)); s.send(b"x"); s.recv(1)`), "1"},
		{python(`s = socket.socket(type=socket.SOCK_RAW, proto=253); s.sendto(b"x", ("` + addrOfTwo + `", 0))`), "0"},
		{python(rawUDP), "0"},
		{python(linkUDP), "0"},
		{"unshare -n " + curl + "http://one.example.com", "6"},
		{"nsenter -t 1 -n " + curl + "http://" + addrOfTwo, "1"},
		{"sh -c 'echo x >&7'", "2"}, // a socket of its caller
		{curl + "http://table.example.com", "0"},
		{"test -w /etc/hosts", "1"}, // a resolver of the host may read it
		{"unshare -m sh -c 'mount --bind /etc/own /etc/hosts && " + curl + "http://one.example.com'", "7"},
		{curl + "http://one.example.com", "0"},
		{"dig +tries=1 +time=60 @" + resolver + " one.example.com", "9"}, // of its own
	})
	if n := heard.Load(); n > 0 {
		t.Errorf("%d datagrams have left that none may", n)
	}
}

// python returns a command line by which Python runs a script that may use sockets.
func python(script string) string {
	return "python3 -c 'import socket, struct\nsocket.setdefaulttimeout(30)\n" + script + "'"
}

// Scripts that send a datagram past the sockets of the kernel's UDP: with a header of their own,
// and as a frame of the link.
const (
	udpPacket = `u = struct.pack("!HHHH", 4444, 443, 9, 0) + b"x"
p = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 29, 1, 0, 64, 17, 0, socket.inet_aton("198.18.0.1"),
    socket.inet_aton("` + addrOfTwo + `"))
c = sum(struct.unpack("!10H", p)); c = (c & 65535) + (c >> 16)
p = p[:10] + struct.pack("!H", ~c & 65535) + p[12:] + u
`
	rawUDP = udpPacket + `socket.socket(type=socket.SOCK_RAW, proto=255).sendto(p, ("` + addrOfTwo + `", 0))`

	linkUDP = udpPacket + `s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
s.sendto(p, ("syntap0", 0x0800))`
)

// newEar counts datagrams that come to addrOfTwo by UDP to port 443, and by protocol 253.
func newEar(t *testing.T, lab *tuntest.Lab) *atomic.Int64 {
	t.Helper()
	n := new(atomic.Int64)
	for _, network := range [][2]string{{"udp4", addrOfTwo + ":443"}, {"ip4:253", addrOfTwo}} {
		conn := lab.Server.ListenPacket(network[0], network[1])
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, _, err := conn.ReadFrom(make([]byte, 100)); err != nil {
					return
				}
				n.Add(1)
			}
		}()
		t.Cleanup(func() {
			_ = conn.Close()
			<-done
		})
	}
	return n
}

// serveDoH has the lab's server answer DNS over HTTPS (RFC 8484) at port 8443: every name has
// addrOfTwo.
func serveDoH(t *testing.T, lab *tuntest.Lab) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var m dnsmessage.Message
		if m.Unpack(b) != nil || len(m.Questions) != 1 {
			return
		}
		m.Response = true
		q := m.Questions[0]
		if q.Type == dnsmessage.TypeA {
			h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}
			body := &dnsmessage.AResource{A: netip.MustParseAddr(addrOfTwo).As4()}
			m.Answers = []dnsmessage.Resource{{Header: h, Body: body}}
		}
		m.Additionals = nil
		b, _ = m.Pack()
		w.Header().Set("Content-Type", "application/dns-message")
		_, _ = w.Write(b)
	}))
	_ = s.Listener.Close()
	s.Listener = lab.Server.Listen("tcp", ":8443")
	s.StartTLS()
	t.Cleanup(s.Close)
}

// helloWithECH returns a ClientHello that hides its name behind that of a provider (RFC 9849).
func helloWithECH(t *testing.T, provider string) []byte {
	t.Helper()
	hello := inspecttest.TLSHello(t, &tls.Config{
		ServerName: "evil.example", MinVersion: tls.VersionTLS13,
		EncryptedClientHelloConfigList: inspecttest.ECHConfigs(t, provider),
	})
	if !strings.Contains(string(hello), provider) {
		t.Fatal("no hello with ECH")
	}
	return hello
}

// TestStaleName: a command that keeps an address reaches it when the name's TTL is over, by either
// kind of names.
func TestStaleName(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dnsmasq", "getent", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	lab.Server.AddAddress("lo", addrOfHour+"/32")
	resolve(t, lab.Server, "--user=root", "--listen-address="+addrOfHour, "--local=/#/",
		"--host-record=hour.example.com,"+addrOfShop+",1")
	dir := newEtc(t, "nameserver "+addrOfHour+"\n")
	const script = `a=$(getent ahostsv4 hour.example.com | head -n 1 | cut -d " " -f 1); began=$(date +%s)
until [ $(date +%s) -gt $((began+1)) ]; do sleep 0.1; done
curl -s -m 60 http://$a`
	for _, names := range []string{"dns", "virtual"} {
		line := dir.asking(binary, "exec", "--names", names, "-o", dir.path("log"), "--allow", "hour.example.com:80", "--",
			"sh", "-c", script)
		if got := command(t, lab.Router, line[0], line[1:]...); got.status != 0 {
			t.Errorf("--names %s: %+v", names, got)
		}
	}
}

// TestPoisonedName has a command ask a server that it may reach by its name for the address of
// another name that it may reach. The answer opens no address, by either kind of names.
func TestPoisonedName(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	const curl, dig = "curl -4 -s -m 60 http://" + addrOfTwo, "dig +tries=1 +time=60 two.example.com "
	poisoned := []step{
		{dig + "@far.example.com | grep -q " + addrOfTwo, "0"},
		{curl, "7"},
		{dig + "+tcp @far.example.com | grep -q " + addrOfTwo, "0"},
		{curl, "7"},
	}
	for names, more := range map[string][]step{"virtual": nil, "dns": {{dig + "| grep -q " + addrOfTwo, "0"}, {curl, "0"}}} {
		t.Run(names, func(t *testing.T) {
			t.Parallel()
			line := dir.asking(binary, "exec", "--names", names, "-o", "/dev/null",
				"--allow", "far.example.com", "--allow", "two.example.com:80", "--", "sh", "-c")
			steps(t, lab.Router, line, slices.Concat(poisoned, more))
		})
	}
}

// TestOtherResolvers has programs look names up that do not ask the C library: Go's own resolver
// and, where it is installed, Java.
func TestOtherResolvers(t *testing.T) {
	t.Parallel()
	requireTools(t, "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	all := map[string]string{"Go": buildPrograms(t) + " get "}
	if java, err := exec.LookPath("java"); err == nil {
		dir.write(t, "Get.java", getByJava)
		all["Java"] = java + " " + dir.path("Get.java") + " "
	}
	for name, get := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const script = `mount --bind "$0" /etc/resolv.conf && exec "$@"` // Java has files in /etc
			steps(t, lab.Router, []string{
				"unshare", "--mount", "sh", "-c", script, dir.path("resolv.conf"), binary, "exec", "-o", "/dev/null",
				"--allow", "*.example.com:80", "--deny", "two.example.com", "--", "sh", "-c",
			}, []step{
				{get + "one.example.com", "0"},
				{get + "cdn.example.net", "1"},
				{get + addrOfTwo, "1"},
			})
		})
	}
}

const getByJava = `public class Get {
	public static void main(String[] a) throws Exception {
		try (var s = new java.net.Socket(a[0], 80)) {
			s.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes());
			if (s.getInputStream().read() < 0) System.exit(1);
		}
	}
}`

// TestManyNames has a policy with ten thousand names, of which the last counts as the first does.
func TestManyNames(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	var rules strings.Builder
	rules.WriteString("egress:\n  default: deny\n  rules:\n")
	for i := range 10000 {
		fmt.Fprintf(&rules, "    - {name: n%d.example.org, ports: 443, verdict: allow}\n", i)
	}
	rules.WriteString("    - {name: one.example.com, ports: 80, verdict: allow}\n")
	dir.write(t, "policy.yaml", rules.String())
	line := dir.asking(binary, "exec", "-o", "/dev/null", "--policy", dir.path("policy.yaml"), "--", "sh", "-c")
	const curl = "curl -4 -s -m 60 "
	steps(t, lab.Router, line, []step{
		{curl + "http://one.example.com", "0"},
		{curl + "http://two.example.com", "6"},
		{curl + "http://one.example.com:81", "7"},
		{curl + "http://" + addrOfTwo, "7"},
	})
}

// buildPrograms builds testdata/programs and returns its path, outside /etc.
func buildPrograms(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "programs")
	cmd := exec.Command("go", "build", "-o", path, "./testdata/programs")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build programs: %v\n%s", err, out)
	}
	return path
}
