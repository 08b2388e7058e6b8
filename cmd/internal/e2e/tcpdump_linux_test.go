package e2e_test

import (
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestAgainstTcpdump compares the log line by line with tcpdump's for the same packets on
// the TUN.
func TestAgainstTcpdump(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "tcpdump")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", everything)
	tcpdump := lab.Router.Start("tcpdump", "-n", "-S", "-t", "-i", "syntap0", "-l", "--immediate-mode", "tcp or ip6 proto 6")
	tuntest.Wait(t, "tcpdump to listen", func() bool { return strings.Contains(tcpdump.Stderr(), "listening on") })

	const rounds = 10
	for range rounds {
		for i, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
			lab.Router.Run("curl", "-sS", urls()[i])
			if refused := command(t, lab.Router, "curl", "-sS", "http://"+net.JoinHostPort(host, "81")); refused.status != 7 {
				t.Errorf("curl to a closed port of %s: %+v, want exit status 7", host, refused)
			}
		}
	}
	records := r.waitRecords(t, 4*rounds)
	lines := 0
	for _, record := range records {
		lines += len(record.Lines)
	}
	tuntest.Wait(t, "tcpdump to print as much", func() bool { return len(openings(tcpdump.Stdout())) >= lines })
	if err := tcpdump.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-tcpdump.Done()
	r.stop(t, unix.SIGTERM)

	if diff := cmp.Diff(openings(tcpdump.Stdout()), strings.Split(strings.TrimSuffix(r.read(t, "handshakes.txt"), "\n"), "\n")); diff != "" {
		t.Errorf("handshakes (-tcpdump +syntap):\n%s", diff)
	}
	for _, record := range records {
		if want := map[int]string{80: "established", 81: "refused"}[record.Dport]; record.Outcome != want {
			t.Errorf("port %d: outcome %s, want %s", record.Dport, record.Outcome, want)
		}
	}
}

// requireSetgroups skips a test with tcpdump in a user namespace that has no group but one: tcpdump
// gives up root and the groups with it, or does not start.
func requireSetgroups(t *testing.T) {
	t.Helper()
	if b, err := os.ReadFile("/proc/self/setgroups"); err == nil && string(b) == "deny\n" {
		t.Skip("tcpdump cannot change its groups in this user namespace")
	}
}

// segment matches a line of tcpdump.
var segment = regexp.MustCompile(`^IP6? (\S+) > (\S+): Flags \[([^]]+)\]`)

// openings picks from tcpdump's lines of connections that follow one another those of opening
// segments: every SYN and SYN-ACK, a RST that answers a SYN, and the client's next segment after a
// SYN-ACK.
func openings(tcpdump string) []string {
	var lines []string
	last := "" // "client > server FLAGS" of the last line picked
	for line := range strings.Lines(tcpdump) {
		line = strings.TrimSuffix(line, "\n")
		m := segment.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		src, dst, flags := m[1], m[2], m[3]
		answered := last == dst+" > "+src+" S"
		completed := last == dst+" > "+src+" S."
		if strings.HasPrefix(flags, "S") || answered && strings.HasPrefix(flags, "R") || completed {
			lines = append(lines, line)
			last = src + " > " + dst + " " + flags
		}
	}
	return lines
}
