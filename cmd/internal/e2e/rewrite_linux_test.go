package e2e_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// The work of mss and df rules on packets, as tcpdump sees it.

// headerFlags matches the identification and flags of an IPv4 header as tcpdump -v prints them.
var headerFlags = regexp.MustCompile(`id (\d+), offset \d+, flags \[([^]]*)\], proto (\w+)`)

// TestDF looks at the IPv4 packets that the router sends both ways: TCP, UDP and ICMP, also longer
// ones than the MTU.
func TestDF(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ping", "tcpdump")
	for policy, want := range map[string]string{"set": "DF", "clear": "none"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveHTTP(t, lab, greeting)
			server := lab.Server.ListenPacket("udp", net.JoinHostPort(tuntest.ServerAddr4, "7000"))
			go answerLong(server)
			r := run(t, lab.Router, "syntap0", everything+"\ndf: [{policy: "+policy+"}]\n")
			inbound := dump(t, lab.Router, "syntap0", "src host "+tuntest.ServerAddr4)
			upstream := dump(t, lab.Server, "eth0", "src host "+tuntest.RouterAddr4)

			lab.Router.Run("curl", "-sS", urls()[0])
			lab.Router.Run("ping", "-n", "-c", "3", "-i", "0.2", "-w", "30", tuntest.ServerAddr4)
			client, err := lab.Router.Dial(t.Context(), "udp", server.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if err := client.SetDeadline(time.Now().Add(tuntest.Patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprint(client, "question"); err != nil {
				t.Fatal(err)
			}
			if n, err := client.Read(make([]byte, 1<<16)); n != longAnswer || err != nil {
				t.Errorf("answer of %d bytes, %v, want %d", n, err, longAnswer)
			}
			for place, dump := range map[string]*tuntest.Process{"TUN": inbound, "server": upstream} {
				tuntest.Wait(t, "packets of all protocols at the "+place, func() bool {
					return strings.Contains(dump.Stdout(), "proto TCP") && strings.Contains(dump.Stdout(), "proto UDP") &&
						strings.Count(dump.Stdout(), "proto ICMP") >= 3
				})
				for _, m := range headerFlags.FindAllStringSubmatch(dump.Stdout(), -1) {
					if m[2] != want || want == "none" && place == "TUN" && m[1] == "0" {
						t.Errorf("%s packet at the %s has the flags [%s] and the ID %s, want [%s]", m[3], place, m[2], m[1], want)
					}
				}
			}
			record := r.waitRecords(t, 1)[0]
			for _, w := range record.Rewrites {
				if to := map[string]string{"set": "set", "clear": "clear"}[policy]; w.What != "df" || string(w.To) != to || w.Rule != 1 {
					t.Errorf("rewrite %+v, want df to %s by rule 1", w, to)
				}
			}
			if n := len(record.Rewrites); policy == "clear" && (n < 3 || n != len(record.Lines)) {
				t.Errorf("%d rewrites, want one for each segment of the handshake: %+v", n, record.Rewrites)
			}
			r.stop(t, unix.SIGTERM)
		})
	}
}

const longAnswer = 3000

// answerLong answers datagrams with longAnswer bytes until the socket is closed.
func answerLong(conn net.PacketConn) {
	for {
		_, from, err := conn.ReadFrom(make([]byte, 1<<16))
		if err != nil {
			return
		}
		if _, err := conn.WriteTo(make([]byte, longAnswer), from); err != nil {
			return
		}
	}
}

// dump starts a tcpdump of IPv4 headers and waits until it listens.
func dump(t *testing.T, ns *tuntest.Namespace, link, filter string) *tuntest.Process {
	t.Helper()
	p := ns.Start("tcpdump", "-n", "-v", "-l", "--immediate-mode", "-i", link, "ip and "+filter)
	tuntest.Wait(t, "tcpdump to listen", func() bool { return strings.Contains(p.Stderr(), "listening on") })
	return p
}

// TestEnforceDF has a client send fragments.
func TestEnforceDF(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything+"\ndf: [{policy: enforce}]\n")
	got := command(t, lab.Router, "ping", "-n", "-c", "1", "-W", "30", "-s", "3000", "-M", "dont", tuntest.ServerAddr4)
	if got.status != 1 || !strings.Contains(got.stdout, "Frag needed and DF set (mtu = 1500)") {
		t.Errorf("ping in fragments: %+v, want the MTU from an ICMP error", got)
	}
	lab.Router.Run("ping", "-n", "-c", "1", "-w", "30", tuntest.ServerAddr4)
	lab.Router.Run("ping", "-n", "-c", "1", "-w", "30", "-s", "3000", tuntest.ServerAddr6)
	r.stop(t, unix.SIGTERM)
}

// TestLongDatagramWithDF has the network be too narrow for a datagram that must not be fragmented:
// the client learns why.
func TestLongDatagramWithDF(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping")
	lab := tuntest.NewLab(t)
	lab.Router.Run("ip", "link", "set", "wan0", "mtu", "1400") // a program of the host would have its kernel fragment for that
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "name: syntap0", "name: syntap0, sources: [host, 192.0.2.0/24]", 1)+"\ndf: [{policy: set}]\n")
	got := command(t, lab.Client, "ping", "-n", "-c", "1", "-W", "30", "-s", "1400", "-M", "dont", tuntest.ServerAddr4)
	if got.status != 1 || !strings.Contains(got.stdout, "Frag needed and DF set (mtu = 1400)") {
		t.Errorf("ping of 1400 bytes: %+v, want the path MTU from an ICMP error", got)
	}
	r.stop(t, unix.SIGTERM)
}

// TestExecRules gives rules to exec in one line.
func TestExecRules(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	for i, url := range urls() {
		file := filepath.Join(t.TempDir(), "handshakes.txt")
		got := command(t, lab.Router, binary, "exec", "--mss", "1300", "--df", "clear", "--format", "modern", "-o", file, "--", "curl", "-sS", url)
		if got.status != 0 || got.stderr != "" {
			t.Errorf("exec curl %s: %+v", url, got)
		}
		lines, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sent := []string{"mss 1460", "mss 1440"}[i]
		for line := range strings.Lines(string(lines)) {
			want := ""
			switch {
			case strings.Contains(line, "Flags [S],"):
				want = sent
			case strings.Contains(line, "Flags [S.],"):
				want = "mss 1300"
			}
			if !strings.Contains(line, want) {
				t.Errorf("exec curl %s printed\n%swant %s in the SYN, as it was sent, and mss 1300 in the SYN-ACK", url, lines, sent)
			}
		}
		if n := strings.Count(string(lines), "\n"); n < 3 {
			t.Errorf("exec curl %s printed %d lines, want three", url, n)
		}
	}
	if got := command(t, lab.Router, binary, "exec", "--mss", "100", "--", "true"); got.status != 2 || !strings.Contains(got.stderr, "--mss: 100 is below 536") {
		t.Errorf("exec --mss 100: %+v, want exit status 2 and the reason", got)
	}
}
