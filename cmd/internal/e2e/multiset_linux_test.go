package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"syntap/tun/tuntest"
)

// TestEveryHandshakeOnce makes two thousand connections, a hundred at a time, and compares the log
// as a multiset of (addresses, ports, both initial sequence numbers) with those that tshark finds
// in a capture of the TUN taken meanwhile.
func TestEveryHandshakeOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		loss int // percent of the packets, between client and TUN, in each direction
	}{
		{"clean", 0},
		{"lossy", 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			requireTools(t, "tcpdump", "tshark")
			requireSetgroups(t)
			lab := tuntest.NewLab(t)
			r := run(t, lab.Router, "syntap0", withTapTimeout("60s")) // time for segments that are lost again and again
			tun := captureTUN(t, lab)
			if tt.loss > 0 {
				lab.Router.Drop(tt.loss, "postrouting", `oifname "syntap0" meta l4proto tcp`)
				lab.Router.Drop(tt.loss, "input", `iifname "syntap0" meta l4proto tcp`)
			}

			const connections = 2000
			connectMany(t, lab, connections)
			r.waitRecords(t, connections)
			tun.stop(t)
			r.stop(t, unix.SIGTERM)

			logged := establishedIn(t, r.read(t, "handshakes.json"))
			if n := total(logged); n != connections {
				t.Errorf("%d records of established connections, want %d", n, connections)
			}
			if diff := cmp.Diff(handshakesIn(t, tun.file), logged); diff != "" {
				t.Errorf("handshakes (-tshark +syntap):\n%s", diff)
			}
		})
	}
}

// withTapTimeout is everything with another tap.timeout.
func withTapTimeout(d string) string {
	return strings.Replace(everything, "\ntap:\n", "\ntap:\n  timeout: "+d+"\n", 1)
}

// capture is a tcpdump of the TUN's TCP.
type capture struct {
	*tuntest.Process
	file string
}

func captureTUN(t *testing.T, lab *tuntest.Lab) *capture {
	t.Helper()
	return captureWith(t, lab, "-s", "160", "tcp or ip6 proto 6")
}

// captureWith captures the TUN with flags of tcpdump and, behind them, a filter.
func captureWith(t *testing.T, lab *tuntest.Lab, args ...string) *capture {
	t.Helper()
	c := &capture{file: filepath.Join(t.TempDir(), "tun.pcap")}
	c.Process = lab.Router.Start("tcpdump", append([]string{"-i", "syntap0", "-B", "65536", "-w", c.file}, args...)...)
	tuntest.Wait(t, "tcpdump to listen", func() bool { return strings.Contains(c.Stderr(), "listening on") })
	return c
}

var tcpdumpCounts = regexp.MustCompile(`(\d+) packets captured, (\d+) packets received by filter, (\d+) packets dropped`)

// stop ends tcpdump once it has all that has passed: at a signal it leaves waiting packets
// unread.
func (c *capture) stop(t *testing.T) {
	t.Helper()
	var captured, received, dropped string
	tuntest.Wait(t, "tcpdump to have all packets", func() bool {
		if err := c.Signal(unix.SIGUSR1); err != nil { // it says how many it has
			t.Fatal(err)
		}
		for _, m := range tcpdumpCounts.FindAllStringSubmatch(c.Stderr(), -1) {
			captured, received, dropped = m[1], m[2], m[3]
		}
		return captured != "" && captured == received
	})
	if dropped != "0" {
		t.Fatalf("tcpdump has missed %s of %s packets", dropped, received)
	}
	if err := c.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
}

// connectMany makes n connections, half of them over IPv6; each carries a byte there and back.
func connectMany(t *testing.T, lab *tuntest.Lab, n int) {
	t.Helper()
	serveEchoes(lab)
	connectEchoes(t, lab, n)
}

// serveEchoes serves connectEchoes until the test ends.
func serveEchoes(lab *tuntest.Lab) {
	for _, host := range addresses() {
		serveEcho(lab.Server, net.JoinHostPort(host, "7000"))
	}
}

func connectEchoes(t *testing.T, lab *tuntest.Lab, n int) {
	t.Helper()
	connectPaced(t, lab, n, rate.Inf)
}

// connectPaced makes at most so many connections a second.
func connectPaced(t *testing.T, lab *tuntest.Lab, n int, most rate.Limit) {
	t.Helper()
	pace := rate.NewLimiter(most, 100)
	jobs := make(chan int)
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			for i := range jobs {
				if err := echoOneByte(lab.Router, net.JoinHostPort(addresses()[i%2], "7000")); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		_ = pace.Wait(t.Context()) // until the test is over
		jobs <- i
	}
	close(jobs)
	clients.Wait()
}

func echoOneByte(ns *tuntest.Namespace, address string) error {
	ctx, cancel := timeout()
	defer cancel()
	conn, err := ns.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

// handshake is one completed opening.
type handshake struct {
	Src                  string
	Sport                int
	Dst                  string
	Dport                int
	ClientISN, ServerISN uint32
}

// openingRecord holds those keys of a JSON record.
type openingRecord struct {
	Outcome, Src, Dst string
	Sport, Dport      int
	ClientISN         uint32 `json:"client_isn"`
	ServerISN         uint32 `json:"server_isn"`
}

func (r *openingRecord) handshake() handshake {
	return handshake{r.Src, r.Sport, r.Dst, r.Dport, r.ClientISN, r.ServerISN}
}

// establishedIn counts the established connections of a JSON log.
func establishedIn(t *testing.T, log string) map[handshake]int {
	t.Helper()
	count := make(map[handshake]int)
	for line := range strings.Lines(log) {
		var r openingRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("record: %v: %s", err, line)
		}
		if r.Outcome == "established" {
			count[r.handshake()]++
		}
	}
	return count
}

// end is a connection as one of its ends sends.
type end struct {
	src   string
	sport int
	dst   string
	dport int
}

// opened counts the completed handshakes among segments in their order.
type opened struct {
	isn   map[end]uint32 // of its last SYN
	count map[handshake]int
}

func newOpened() *opened { return &opened{make(map[end]uint32), make(map[handshake]int)} }

func (o *opened) segment(from end, syn, ack bool, seq, acked uint32) {
	to := end{from.dst, from.dport, from.src, from.sport}
	switch {
	case syn:
		o.isn[from] = seq
	case ack && from.dport == 7000 && acked == o.isn[to]+1 && seq == o.isn[from]+1:
		o.count[handshake{from.src, from.sport, from.dst, from.dport, o.isn[from], o.isn[to]}]++
		delete(o.isn, from) // later segments have the same numbers
	}
}

// handshakesIn returns the completed handshakes of captures, compressed or not, as tshark
// reads them from the headers.
func handshakesIn(t *testing.T, captures ...string) map[handshake]int {
	t.Helper()
	all := newOpened()
	for _, file := range captures {
		tshark := exec.CommandContext(t.Context(), "tshark", "-n", "-r", file, "-T", "fields", "-E", "separator=/t",
			"-e", "ip.src", "-e", "ipv6.src", "-e", "tcp.srcport", "-e", "ip.dst", "-e", "ipv6.dst", "-e", "tcp.dstport",
			"-e", "tcp.flags.syn", "-e", "tcp.flags.ack", "-e", "tcp.seq_raw", "-e", "tcp.ack_raw")
		out, err := tshark.Output()
		if err != nil {
			t.Fatalf("tshark %s: %v", file, err)
		}
		for line := range strings.Lines(string(out)) {
			f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if len(f) != 10 {
				t.Fatalf("tshark %s: %q", file, line)
			}
			from := end{src: f[0] + f[1], dst: f[3] + f[4]}
			var seq, ack uint32
			if _, err := fmt.Sscan(strings.Join([]string{f[2], f[5], f[8], f[9]}, " "), &from.sport, &from.dport, &seq, &ack); err != nil {
				t.Fatalf("tshark %s: %q: %v", file, line, err)
			}
			isSet := func(flag string) bool { return flag == "1" || flag == "True" }
			all.segment(from, isSet(f[6]), isSet(f[7]), seq, ack)
		}
	}
	return all.count
}

func total[K comparable](count map[K]int) int {
	n := 0
	for _, c := range count {
		n += c
	}
	return n
}
