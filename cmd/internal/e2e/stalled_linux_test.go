package e2e_test

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestAllStalled opens as many idle connections as the limits allow, from several clients, and then
// has all of them stall in both directions. All found room while they were idle, the memory stays
// within the unit's, and a connection that moves keeps its speed. In a soak the limits are the
// defaults.
func TestAllStalled(t *testing.T) {
	t.Parallel()
	requireTools(t, "ss")
	const sources = 4
	flows, limit, most := scaled(1024, 16384), scaled(16, 256)*megabyte, scaled(128, 512)*megabyte
	var descriptors unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &descriptors); err != nil {
		t.Fatal(err)
	}
	flows = min(flows, int(descriptors.Max-1000)/2/sources*sources) // both ends are in this process
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, gatewayOf+fmt.Sprintf("limits: {memory: %d, tcp_flows: %d}\n", limit, flows+8))
	r.Process = lab.Router.Start("env", "GOMEMLIMIT=280MiB", binary, "run", "-c", config)
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })

	speed := measureSpeed(t, lab)
	s := newStalling(t, lab, flows, sources)
	idle := r.held(t, lab)
	before := speed(0)
	s.begin()
	moved := func() uint64 { return linkStatistics(lab.Router, "syntap0").TxBytes }
	tuntest.Wait(t, "all to have stalled", func() bool {
		last := moved()
		time.Sleep(time.Second)
		return moved()-last < uint64(flows)<<8
	})
	stalled := r.held(t, lab)
	least := before * map[bool]float64{true: 0.9, false: 0.1}[soak()]
	during := speed(least)
	s.end()
	reportf(t, "%d connections: %d MiB idle, %d MiB stalled; one that moves reaches %.2f of %.2f Gbit/s",
		flows, idle/megabyte, stalled/megabyte, during, before)
	if stalled > most {
		t.Errorf("%d stalled connections hold %d MiB, want %d at most", flows, stalled/megabyte, most/megabyte)
	}
	if during < least {
		t.Errorf("a connection reaches %.2f Gbit/s beside stalled ones, before %.2f", during, before)
	}
	r.stop(t, unix.SIGTERM)
}

// held returns the bytes that the router takes: its process, and the kernel for its sockets.
func (r *router) held(t *testing.T, lab *tuntest.Lab) int {
	t.Helper()
	const socket = 4 << 10 // an idle one with its file and epoll item
	sum := r.usage(t).rss
	for line := range strings.Lines(lab.Router.Run("ss", "-tmnH", "state", "connected")) {
		if m := skmem.FindStringSubmatch(line); m != nil {
			sum += socket
			for _, field := range m[1:] { // received, borrowed ahead, to be sent
				n, _ := strconv.Atoi(field)
				sum += n
			}
		}
	}
	return sum
}

var skmem = regexp.MustCompile(`skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+),`)

// measureSpeed opens a connection, and returns a function that measures how much it carries in each
// direction, in Gbit/s: the best of some times, and of more until it is a least, since the machine
// may stall.
func measureSpeed(t *testing.T, lab *tuntest.Lab) func(least float64) float64 {
	t.Helper()
	listener := lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "7001"))
	go serveAll(listener, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	conn := dial(t, lab.Router, listener.Addr().String())
	return func(least float64) (best float64) {
		size := int64(scaled(8, 64) * megabyte)
		began := time.Now()
		for i := 0; i < scaled(2, 10) || best < least && time.Since(began) < tuntest.Patience; i++ {
			start := time.Now()
			go func() { _, _ = io.CopyN(conn, zeros{}, size) }()
			if n, err := io.CopyN(io.Discard, conn, size); err != nil {
				t.Fatalf("%d bytes came back: %v", n, err)
			}
			best = max(best, float64(size)*8/time.Since(start).Seconds()/1e9)
		}
		return best
	}
}

// stalling is connections that carry nothing, and then all they can between ends that do not read.
type stalling struct {
	begun, over chan struct{}
	all         sync.WaitGroup
}

// newStalling opens connections from several addresses of the LAN.
func newStalling(t *testing.T, lab *tuntest.Lab, flows, sources int) *stalling {
	t.Helper()
	s := &stalling{begun: make(chan struct{}), over: make(chan struct{})}
	stall := func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetLinger(0) // the kernel does not go on sending
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		_ = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
		s.all.Go(func() {
			<-s.over
			conn.Close()
		})
		<-s.begun
		for data := make([]byte, 1<<10); ; {
			if _, err := conn.Write(data); err != nil {
				return
			}
		}
	}
	listener := lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "7002"))
	go serveAll(listener, func(conn *net.TCPConn) { stall(conn) })
	var opening errgroup.Group
	opening.SetLimit(64)
	for i := range sources {
		from := fmt.Sprintf("192.0.2.%d", 100+i)
		lab.Client.AddAddress("eth0", from+"/24")
		for range flows / sources {
			opening.Go(func() error {
				conn, err := connectFrom(lab.Client, from, listener.Addr().String())
				if err == nil {
					s.all.Go(func() { stall(conn) })
				}
				return err
			})
		}
	}
	if err := opening.Wait(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stalling) begin() { close(s.begun) }

func (s *stalling) end() {
	close(s.over)
	s.all.Wait()
}
