package e2e_test

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

const megabyte = 1 << 20

// TestFlood sends SYNs from random addresses as fast as they go. They must cost nothing but the
// time to drop them.
func TestFlood(t *testing.T) {
	t.Parallel()
	requireTools(t, "hping3", "nft")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	l := lab.Server.Listen("tcp", address)
	go serveAll(l, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	var established []net.Conn
	for range 100 {
		conn := dial(t, lab.Router, address)
		echo(t, conn)
		established = append(established, conn)
	}
	before := r.usage(t)
	lab.Router.Run("nft", `
		add table inet flood
		add chain inet flood output { type filter hook output priority -500; }
		add rule inet flood output ip saddr 127.0.0.0/8 ip daddr `+tuntest.ServerAddr4+` counter`)
	queued := func() int { s := linkStatistics(lab.Router, "syntap0"); return int(s.TxPackets + s.TxDropped) }

	packets := scaled(200_000, 1_000_000)
	flood := lab.Router.Start("hping3", "-q", "-n", "-S", "-p", "7000", "--flood", "--rand-source", tuntest.ServerAddr4)
	connections, peak := 0, before.rss
	var slowest time.Duration
	for queued() < packets {
		start := time.Now()
		conn := dial(t, lab.Router, address)
		slowest = max(slowest, time.Since(start))
		echo(t, conn)
		conn.Close()
		connections++
		echo(t, established[connections%len(established)])
		peak = max(peak, r.usage(t).rss)
	}
	packets = endFlood(t, flood) - unroutable(t, lab.Router)
	for _, conn := range established {
		echo(t, conn)
		conn.Close()
	}
	r.waitRecords(t, len(established)+connections)
	tuntest.Wait(t, "the router to have read all", func() bool { return queued() >= packets })
	statistics := linkStatistics(lab.Router, "syntap0")
	carried := r.carried(t)
	reportf(t, "%d SYNs: %d MiB more memory at most, %d connections meanwhile, the slowest %v; %d dropped by the kernel",
		packets, (peak-before.rss)/megabyte, connections, slowest, statistics.TxDropped)
	if peak-before.rss > 64*megabyte {
		t.Errorf("the flood has taken %d MiB, want less than 64", (peak-before.rss)/megabyte)
	}
	if got := carried["established"]; got != len(established)+connections || connections < 10 {
		t.Errorf("%d connections recorded, want %d and at least 10 of them during the flood", got, len(established)+connections)
	}
	// Every SYN of the flood is in the kernel's or in the router's account.
	if got := carried["drop_source"]; got+int(statistics.TxDropped) < packets || got > packets+1 { // the last may have been sent uncounted
		t.Errorf("%d SYNs dropped for their source and %d by the kernel, want %d", got, statistics.TxDropped, packets)
	}
	const late = 8 // of the host itself, until the router has stopped
	if got := carried["outbound_frames"] + carried["malformed_frames"] - int(statistics.TxPackets); got < 0 || got > late {
		t.Errorf("%d frames more read than the kernel counts, %d", got, statistics.TxPackets)
	}
	// Of a connection whose frames the kernel's full queue has dropped, one more may be refused.
	for name, n := range carried {
		if strings.HasPrefix(name, "drop_") && n > connections && !slices.Contains([]string{"drop_source", "drop_link_scope"}, name) {
			t.Errorf("%s=%d: the flood was dropped for another reason than its sources", name, n)
		}
	}
}

var fromLoopback = regexp.MustCompile(`counter packets (\d+)`)

// unroutable returns how many packets of the flood have a source in 127.0.0.0/8. The kernel sends
// them nowhere. They are none or several in 256, as hping3's generator is seeded.
func unroutable(t *testing.T, router *tuntest.Namespace) int {
	t.Helper()
	m := fromLoopback.FindStringSubmatch(router.Run("nft", "list", "table", "inet", "flood"))
	if m == nil {
		t.Fatal("nft lists no counter")
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

var transmitted = regexp.MustCompile(`(\d+) packets transmitted`)

// endFlood ends hping3 and returns how many packets it has sent.
func endFlood(t *testing.T, flood *tuntest.Process) int {
	t.Helper()
	if err := flood.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-flood.Done()
	m := transmitted.FindStringSubmatch(flood.Stdout() + flood.Stderr())
	if m == nil {
		t.Fatalf("hping3 has printed %q %q", flood.Stdout(), flood.Stderr())
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// TestBlackHoles dials a host that does not answer, thousands of times at once. Others must not
// notice.
func TestBlackHoles(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Server.Drop(100, "input", "tcp dport 9")
	r := run(t, lab.Router, "syntap0", everything+"\negress: {dial_timeout: 5s}\n")
	const holes = 5000
	silent := make([]int, 0, holes)
	defer func() {
		for _, fd := range silent {
			_ = unix.Close(fd)
		}
	}()
	err := lab.Router.Do(func() error {
		for range holes {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			silent = append(silent, fd)
			// Its last SYN comes after 7 s: the router knows then that it is the one before.
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT, 3); err != nil {
				return err
			}
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{203, 0, 113, 2}}); err != unix.EINPROGRESS {
				return fmt.Errorf("connect: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	serveEcho(lab.Server, address)
	var took []time.Duration
	connections := scaled(100, 500)
	clock := startRunTime(t.Context())
	for range connections {
		start := clock.now()
		conn := dial(t, lab.Router, address)
		echo(t, conn)
		took = append(took, clock.now()-start)
		conn.Close()
	}
	slices.Sort(took)
	// Of 100 connections in a row the slowest ones are those that the burst of SYNs has left no
	// room in the TUN's queue.
	percent := scaled(90, 99)
	slow := took[len(took)*percent/100]
	reportf(t, "%d dials to a black hole: %d connections meanwhile, p%d %v; %+v", holes, connections, percent, slow, r.usage(t))
	if slow > time.Second {
		t.Errorf("p%d of connections beside them is %v, want less than 1 s", percent, slow)
	}
	r.waitRecords(t, connections+holes)
	carried := r.carried(t)
	if carried["no_reply"] != holes || carried["established"] != connections || drops(carried) != carried["drop_link_scope"] {
		t.Errorf("carried %v, want %d no_reply, %d established and no drops", carried, holes, connections)
	}
}

// TestHalfOpen sends SYNs that the client never follows up: they are limited and end soon, those of
// others are not touched.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	requireTools(t, "hping3")
	lab := tuntest.NewLab(t)
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	serveEcho(lab.Server, address)
	// The kernel would answer a SYN-ACK that it has not asked for.
	lab.Router.Drop(100, "postrouting", `oifname "syntap0" tcp flags & rst == rst`)
	const limit, syns = 20, 200
	r := run(t, lab.Router, "syntap0", fmt.Sprintf(`
tun: {name: syntap0, sources: [host, 192.0.2.0/24]}
tap: {timeout: 3s, log: [{format: json, path: DIR/handshakes.json}]}
limits: {half_open: 40, half_open_per_source: %d}
`, limit))
	_ = command(t, lab.Router, "hping3", "-q", "-n", "-S", "-p", "7000", "-i", "u1000", "-c", fmt.Sprint(syns), tuntest.ServerAddr4)
	echo(t, dial(t, lab.Client, address)) // has a share of its own
	records := r.waitRecords(t, limit+1)
	echo(t, dial(t, lab.Router, address)) // there is room again
	for _, record := range records {
		if record.Outcome == "half_open" && len(record.Lines) > 4 {
			t.Errorf("half-open attempt with %d segments, want a SYN and at most three SYN-ACKs: %q", len(record.Lines), record.Lines)
		}
	}
	tuntest.Wait(t, "sockets to be closed", func() bool { return strings.Count(lab.Server.Run("ss", "-Htn", "state", "established"), "\n") == 2 })
	carried := r.carried(t)
	if carried["half_open"] < limit || carried["half_open"]+carried["drop_half_open_per_source"] < syns {
		t.Errorf("carried %v, want at least %d half_open, and with drop_half_open_per_source %d", carried, limit, syns)
	}
	for _, record := range r.records(t) {
		if record.Outcome == "no_reply" && record.Upstream.Error != "ENOBUFS" {
			t.Errorf("the record of a dropped SYN says %+v", record)
		}
	}
}

// dial connects from a namespace to an address, until the end of the test at most.
func dial(t *testing.T, ns *tuntest.Namespace, address string) net.Conn {
	t.Helper()
	ctx, cancel := timeout()
	defer cancel()
	conn, err := ns.Dial(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// echo sends a few bytes and waits until they have come back.
func echo(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(tuntest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
}
