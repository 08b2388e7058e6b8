package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestEveryHandshakeOnce makes two thousand connections, a hundred at a time, and compares the log as a multiset of
// (addresses, ports, both initial sequence numbers) with what tshark finds in a capture of the TUN taken meanwhile.
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
			r := run(t, lab.Router, "syntap0", withTapTimeout("60s")) // time for what is lost again and again
			pcap := filepath.Join(t.TempDir(), "tun.pcap")
			tcpdump := lab.Router.Start("tcpdump", "-i", "syntap0", "-s", "160", "-B", "65536", "-U", "-w", pcap, "tcp or ip6 proto 6")
			tuntest.Wait(t, "tcpdump to listen", func() bool { return strings.Contains(tcpdump.Stderr(), "listening on") })
			if tt.loss > 0 {
				lab.Router.Drop(tt.loss, "output", `oifname "syntap0" meta l4proto tcp`)
				lab.Router.Drop(tt.loss, "input", `iifname "syntap0" meta l4proto tcp`)
			}

			const connections = 2000
			connectMany(t, lab, connections)
			r.waitRecords(t, connections)
			// tcpdump leaves unread what waits for it when it is told to end.
			tuntest.Wait(t, "tcpdump to write all handshakes", func() bool {
				seen, _ := handshakesIn(lab, pcap) // an error: the last packet is half written
				return total(seen) >= connections
			})
			if err := tcpdump.Signal(unix.SIGINT); err != nil {
				t.Fatal(err)
			}
			<-tcpdump.Done()
			r.stop(t, unix.SIGTERM)
			if !strings.Contains(tcpdump.Stderr(), "\n0 packets dropped by kernel") {
				t.Fatalf("tcpdump has missed packets: %s", tcpdump.Stderr())
			}

			logged := establishedIn(t, r.read(t, "handshakes.json"))
			if n := total(logged); n != connections {
				t.Errorf("%d records of established connections, want %d", n, connections)
			}
			seen, err := handshakesIn(lab, pcap)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(seen, logged); diff != "" {
				t.Errorf("handshakes (-tshark +syntap):\n%s", diff)
			}
		})
	}
}

// withTapTimeout is everything with another tap.timeout.
func withTapTimeout(d string) string {
	return strings.Replace(everything, "\ntap:\n", "\ntap:\n  timeout: "+d+"\n", 1)
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

// establishedIn counts the established connections of a JSON log.
func establishedIn(t *testing.T, log string) map[handshake]int {
	t.Helper()
	count := make(map[handshake]int)
	for line := range strings.Lines(log) {
		var r struct {
			Outcome, Src, Dst string
			Sport, Dport      int
			ClientISN         uint32 `json:"client_isn"`
			ServerISN         uint32 `json:"server_isn"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("record: %v: %s", err, line)
		}
		if r.Outcome == "established" {
			count[handshake{r.Src, r.Sport, r.Dst, r.Dport, r.ClientISN, r.ServerISN}]++
		}
	}
	return count
}

// handshakesIn returns the completed handshakes of a capture by what tshark reads from its headers.
func handshakesIn(lab *tuntest.Lab, pcap string) (map[handshake]int, error) {
	ctx, cancel := timeout()
	defer cancel()
	out, err := lab.Router.Command(ctx, "tshark", "-r", pcap, "-T", "fields", "-E", "separator=/t",
		"-e", "ip.src", "-e", "ipv6.src", "-e", "tcp.srcport", "-e", "ip.dst", "-e", "ipv6.dst", "-e", "tcp.dstport",
		"-e", "tcp.flags.syn", "-e", "tcp.flags.ack", "-e", "tcp.seq_raw", "-e", "tcp.ack_raw").Output()
	if err != nil {
		err = fmt.Errorf("tshark: %w", err)
	}
	type end struct {
		src   string
		sport int
		dst   string
		dport int
	}
	isn := make(map[end]uint32) // of its last SYN
	seen := make(map[handshake]int)
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 10 {
			return seen, fmt.Errorf("tshark printed %q", line)
		}
		var sport, dport int
		var seq, ack uint32
		if _, err := fmt.Sscan(strings.Join([]string{f[2], f[5], f[8], f[9]}, " "), &sport, &dport, &seq, &ack); err != nil {
			return seen, fmt.Errorf("tshark printed %q: %w", line, err)
		}
		from := end{f[0] + f[1], sport, f[3] + f[4], dport}
		to := end{from.dst, from.dport, from.src, from.sport}
		isSYN, isACK := f[6] == "1" || f[6] == "True", f[7] == "1" || f[7] == "True"
		switch {
		case isSYN:
			isn[from] = seq
		case isACK && dport == 7000 && ack == isn[to]+1 && seq == isn[from]+1:
			seen[handshake{from.src, from.sport, from.dst, from.dport, isn[from], isn[to]}] = 1
		}
	}
	return seen, err
}

func total(count map[handshake]int) int {
	n := 0
	for _, c := range count {
		n += c
	}
	return n
}
