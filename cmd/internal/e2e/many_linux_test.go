package e2e_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestNothingLeft makes many connections and looks at the router's descriptors and memory when they
// are over.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	const first = 10 // have opened the descriptors that are opened once and kept
	address := net.JoinHostPort(tuntest.ServerAddr4, "7001")
	serveEcho(lab.Server, address)
	for range first {
		conn := dial(t, lab.Router, address)
		echo(t, conn)
		conn.Close()
	}
	r.waitRecords(t, first)
	before := r.usage(t)
	connections := scaled(2_000, 100_000)
	start, used := time.Now(), r.cpu(t)
	connectMany(t, lab, connections)
	took := time.Since(start)
	used = r.cpu(t) - used
	r.waitRecords(t, first+connections)
	var after usage
	tuntest.Wait(t, "descriptors to be closed", func() bool {
		after = r.usage(t)
		return after.descriptors <= before.descriptors
	})
	reportf(t, "%d connections, %.0f per second, %v of CPU each: before %+v, after %+v",
		connections, float64(connections)/took.Seconds(), used/time.Duration(connections), before, after)
	if grown := after.rss - before.rss; grown > 64*megabyte {
		t.Errorf("%d MiB more memory than before", grown/megabyte)
	}
	if after.threads > before.threads+8 {
		t.Errorf("%d threads, before %d", after.threads, before.threads)
	}
	carried := r.carried(t)
	if carried["established"] != first+connections {
		t.Errorf("carried %v, want %d established", carried, first+connections)
	}
}

// TestStalledReaders has many connections that carry all they can, to and from ends that do not
// read. They must neither stop others, nor keep new ones out, nor fill the router's memory. It has
// 64 KiB for each, which in a soak is the default.
func TestStalledReaders(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	for _, ns := range []*tuntest.Namespace{lab.Router, lab.Server} { // less to fill, and all within the kernel's memory for TCP
		ns.Sysctl("net.ipv4.tcp_rmem", "4096 65536 98304")
		ns.Sysctl("net.ipv4.tcp_wmem", "4096 16384 98304")
	}
	release := make(chan struct{})
	fill := func(conn net.Conn) { // until the test ends: the other side does not read
		data := make([]byte, 64<<10)
		for {
			if _, err := conn.Write(data); err != nil {
				return
			}
		}
	}
	var filling sync.WaitGroup
	sending := lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "7001"))
	go serveAll(sending, func(conn *net.TCPConn) { fill(conn) })
	stalled := lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "7002"))
	go serveAll(stalled, func(*net.TCPConn) { <-release })
	served := lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "7003"))
	const size = 64 * megabyte
	go serveAll(served, func(conn *net.TCPConn) { _, _ = io.CopyN(conn, zeros{}, size) })

	flows := scaled(256, 4096)
	memory := flows * 64 << 10
	r := run(t, lab.Router, "syntap0", everything+fmt.Sprintf("limits: {memory: %d}\n", memory))
	before := r.usage(t)
	var conns []net.Conn
	defer filling.Wait()
	defer func() {
		close(release)
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for i := range flows {
		download := i%2 == 0
		conn := dial(t, lab.Router, map[bool]string{true: sending.Addr().String(), false: stalled.Addr().String()}[download])
		conns = append(conns, conn)
		if !download {
			filling.Go(func() { fill(conn) })
		}
	}
	frames := func() uint64 {
		s := linkStatistics(lab.Router, "syntap0")
		return s.TxPackets + s.RxPackets
	}
	last, quiet := frames(), 0
	tuntest.Wait(t, "all to have stalled", func() bool { // and not only the router, for a moment
		now := frames()
		if quiet++; now-last >= uint64(flows)/100 {
			quiet = 0
		}
		last = now
		return quiet == 20
	})
	start := time.Now()
	conn := dial(t, lab.Router, served.Addr().String())
	if n, err := io.Copy(io.Discard, conn); n != size || err != nil {
		t.Errorf("download beside stalled connections: %d bytes, %v, want %d", n, err, size)
	}
	took := time.Since(start)
	after := r.usage(t)
	perFlow := (after.rss - before.rss) / flows
	reportf(t, "%d stalled flows: %d KiB of memory each; %d MiB beside them in %v", flows, perFlow>>10, size/megabyte, took)
	if limit := 64*megabyte + memory; after.rss-before.rss > limit {
		t.Errorf("%d stalled flows have taken %d MiB, want less than %d", flows, (after.rss-before.rss)/megabyte, limit/megabyte)
	}
	r.stop(t, unix.SIGTERM)
}

// zeros is a source of bytes without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
