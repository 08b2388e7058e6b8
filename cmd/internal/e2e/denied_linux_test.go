package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestDenied dials the host that exec runs on, by every name there is for it, and the other denied
// destinations. Canaries listen everywhere.
func TestDenied(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	lab.Router.Run("ip", "address", "add", "169.254.169.254/32", "dev", "lo")
	lab.Router.Run("ip", "route", "add", "local", "203.0.113.128/25", "dev", "lo") // AnyIP
	lab.Router.Run("ip", "-6", "route", "add", "local", "2001:db8:7::/64", "dev", "lo")
	lab.Router.Run("ip", "address", "add", "2002:c000:2ff::1/128", "dev", "lo", "nodad")
	var reached atomic.Int64
	for _, address := range []string{"0.0.0.0:80", "[::]:80"} { // whatever address of the host it comes to
		go serveAll(lab.Router.Listen("tcp"+map[bool]string{true: "6", false: "4"}[address[0] == '['], address), func(conn *net.TCPConn) {
			reached.Add(1)
			answerHTTP(conn, "canary")
		})
	}
	denied := []string{
		tuntest.RouterAddr4, tuntest.RouterAddr6, // the host's own
		"169.254.169.254",    // its cloud's
		"169.254.0.1",        // link-local
		"64:ff9b::7f00:1",    // NAT64 of 127.0.0.1
		"64:ff9b::c633:6401", // of 198.51.100.1
		"64:ff9b::a9fe:a9fe", // of 169.254.169.254
		"2002:7f00:1::1",     // 6to4 of 127.0.0.1
		"2002:c633:6401::1",  // of 198.51.100.1
		"::7f00:1",           // IPv4-compatible
		"::c633:6401",        // of 198.51.100.1
		"203.0.113.200",      // a local route's
		"2001:db8:7::5",      // and one of IPv6
		"2001:db8:1::",       // subnet-router anycast
		"2002:c000:2ff::1",   // 6to4 of another's address, but its own
		"64:ff9b::cb00:71c8", // NAT64 of 203.0.113.200
		"2001:db8:1::1",      // another interface's
		"192.0.2.1",          // and its IPv4 address
	}
	file := filepath.Join(t.TempDir(), "handshakes.json")
	tried := append([]string{"127.0.0.1", "::1"}, denied...) // the loopback that exec gives its command
	var script strings.Builder
	for _, address := range tried {
		fmt.Fprintf(&script, "curl -s --connect-timeout 60 'http://%s/'; echo $? %[1]s\n", strings.TrimSuffix(net.JoinHostPort(address, ""), ":"))
	}
	got := command(t, lab.Router, binary, "exec", "--format", "json", "-o", file, "--", "sh", "-c", script.String())
	if reached.Load() != 0 {
		t.Errorf("canaries were reached %d times: %+v", reached.Load(), got)
	}
	for line := range strings.Lines(got.stdout) {
		if !strings.HasPrefix(line, "7 ") { // 28 if it has to wait
			t.Errorf("curl ends with %swant exit status 7: the client is told", line)
		}
	}
	if n := strings.Count(got.stdout, "\n"); n != len(tried) {
		t.Errorf("%d of %d addresses were tried: %+v", n, len(tried), got)
	}
	if !strings.Contains(got.stderr, "denied by egress.deny") || strings.Count(got.stderr, "\n") > 4 {
		t.Errorf("exec said %q, want up to four lines on what is denied", got.stderr)
	}
	left := &router{dir: filepath.Dir(file)}
	left.checkRecords(t)
	var recorded []string
	for _, record := range left.records(t) {
		if record.Outcome != "denied" || record.Verdict != "deny" || record.Rule != "egress.deny" ||
			!strings.HasPrefix(record.Reason, "egress.deny forbids ") {
			t.Errorf("recorded %+v, want denied, with the reason", record)
		}
		recorded = append(recorded, record.Dst)
	}
	if !slices.Equal(recorded, denied) {
		t.Errorf("recorded attempts to %v, want %v", recorded, denied)
	}
	config := filepath.Join(t.TempDir(), "allow.yaml")
	if err := os.WriteFile(config, []byte("egress: {allow: [169.254.169.254]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]int{"169.254.169.254": 0, "169.254.0.1": 7, tuntest.RouterAddr4: 7} {
		if got := command(t, lab.Router, binary, "exec", "-c", config, "-o", "/dev/null", "--", "curl", "-s", "http://"+address); got.status != want {
			t.Errorf("curl %s with 169.254.169.254 allowed: %+v, want exit status %d", address, got, want)
		}
	}
}

// TestDeniedFollowsAddresses gives the host a new address while the router runs. Soon it is denied:
// the host's own server at that address is not reached any more.
func TestDeniedFollowsAddresses(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	address := "203.0.113.99"
	lab.Server.Run("ip", "address", "add", address+"/32", "dev", "lo")
	go serveAll(lab.Server.Listen("tcp", address+":80"), func(conn *net.TCPConn) { answerHTTP(conn, "server") })
	go serveAll(lab.Router.Listen("tcp", ":80"), func(conn *net.TCPConn) { answerHTTP(conn, "canary") })
	script := fmt.Sprintf("curl -s --connect-timeout 60 http://%s; echo; read added; "+
		"while curl -s --connect-timeout 60 http://%[1]s >/dev/null; do sleep 0.01; done; "+
		"curl -s --connect-timeout 60 http://%[1]s; echo status $?", address)
	ctx, cancel := timeout()
	defer cancel()
	cmd := lab.Router.Command(ctx, binary, "exec", "-o", "/dev/null", "--", "sh", "-c", script)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || lines.Text() != "server" {
		t.Errorf("curl printed %q before the host had the address, want server", lines.Text())
	}
	lab.Router.AddAddress("lo", address+"/32")
	fmt.Fprintln(stdin, "added")
	expired := time.AfterFunc(tuntest.Patience, cancel)
	if !lines.Scan() || lines.Text() != "status 7" {
		t.Errorf("curl printed %q %v after the address was the host's, want status 7", lines.Text(), tuntest.Patience)
	}
	expired.Stop()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestEgress restricts the destinations that may be dialled, and the interface.
func TestEgress(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	for _, tt := range []struct {
		name, egress string
		want         [2]string // outcomes over IPv4 and IPv6
		rule         string    // over IPv4
	}{
		{"deny", `{deny: [203.0.113.0/24, "2001:db8:3::/48"]}`, [2]string{"denied", "denied"}, "egress.deny"},
		{"allow", `{deny: [0.0.0.0/0, "::/0"], allow: [203.0.113.2]}`, [2]string{"established", "denied"}, "egress.allow"},
		{"interface", "{interface: wan0}", [2]string{"established", "established"}, "default"},
		{"other interface", "{interface: lan0, dial_timeout: 1s}", [2]string{"no_reply or unreachable", "no_reply or unreachable"}, "default"},
		{"missing interface", "{interface: wan1, dial_timeout: 1s}", [2]string{"no_reply", "no_reply"}, "default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveHTTP(t, lab, greeting)
			// A client that is not answered sends one SYN more, which belongs to the same attempt.
			lab.Router.Sysctl("net.ipv4.tcp_syn_retries", "1")
			r := run(t, lab.Router, "syntap0", everything+"\negress: "+tt.egress+"\n")
			for i, url := range urls() {
				command(t, lab.Router, "curl", "-sS", url)
				if record := r.waitRecords(t, i+1)[i]; !strings.Contains(tt.want[i], record.Outcome) {
					t.Errorf("curl %s: %+v, want %s", url, record, tt.want[i])
				} else if i == 0 && record.Rule != tt.rule {
					t.Errorf("curl %s: %+v, want the rule %q", url, record, tt.rule)
				}
			}
			r.stop(t, unix.SIGTERM)
		})
	}
}

// answerHTTP reads the request first: unread bytes turn the FIN of a socket into a RST.
func answerHTTP(conn net.Conn, body string) {
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		fmt.Fprint(conn, "HTTP/1.0 200 OK\r\n\r\n"+body)
	}
}
