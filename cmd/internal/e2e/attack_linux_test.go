package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"syntap/tun/tuntest"
)

// memoryMax is MemoryMax of the unit.
const memoryMax = 512 * megabyte

// TestMixedAttacks attacks the router in all ways at once, in random order, beside connections of a
// client of the LAN and of the host that begin at a fixed rate. None of those is lost, refused or
// slow, and each has one record.
func TestMixedAttacks(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	// Connection tracking has one table for all namespaces of a machine: ended ones leave it
	// soon.
	for _, over := range []string{"syn_sent", "syn_recv", "time_wait", "close", "fin_wait", "last_ack"} {
		lab.Router.Sysctl("net.netfilter.nf_conntrack_tcp_timeout_"+over, "3")
	}
	lab.Router.Sysctl("net.netfilter.nf_conntrack_udp_timeout", "3")
	r := &router{dir: t.TempDir()}
	// A machine that has other work, too, may need long for a handshake, and for all.
	handshake, most := "1m", tuntest.Patience
	if soak() {
		handshake, most = "5s", 100*time.Millisecond // the default
	}
	config := r.writeConfig(t, strings.Replace(gatewayOf, "tap: {", "tap: {timeout: "+handshake+", ", 1))
	r.Process = lab.Router.Start("env", "GOMEMLIMIT=350MiB", binary, "run", "-c", config)
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })

	seed := uint64(time.Now().UnixNano())
	attack := newAttacker(t, lab, rand.New(rand.NewPCG(seed, 0)))
	visits := newVisitors(t, lab, &attack.victims)
	visits.one(lab.Client, 0, visits.clock.now()) // the way is open, and neighbours are known

	n, perSecond, visitsPerSecond := scaled(5_000, 1_000_000), scaled(1_500, 1_500), scaled(50, 2_000)
	over := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { visits.begin(visitsPerSecond, over) })
	all.Go(func() { attack.unread(scaled(20, 500)); attack.halfRequests(over) })
	pace := rate.NewLimiter(rate.Limit(perSecond), 64)
	start := time.Now()
	for range n {
		_ = pace.Wait(t.Context()) // until the test is over
		attack.one()
	}
	took := time.Since(start)
	close(over)
	all.Wait()
	_ = visits.pending.Wait()

	peak := r.usage(t).peak
	statistics := linkStatistics(lab.Router, "syntap0")
	attack.end()
	r.stop(t, unix.SIGTERM)
	percent := scaled(90, 99) // in a short run one stall of a processor is more than a percent
	slow := visits.percentile(percent)
	reportf(t, "seed %d: %d attacks in %v, %d connections beside them, p%d %v; %d MiB at most; %d frames dropped by the kernel",
		seed, n, took, len(visits.took), percent, slow, peak/megabyte, statistics.TxDropped)
	r.explain(t, visits.errs)
	if slow > most {
		t.Errorf("p%d of connections beside the attacks is %v, want %v at most", percent, slow, most)
	}
	if peak > memoryMax {
		t.Errorf("the router has taken %d MiB, the unit allows %d", peak/megabyte, memoryMax/megabyte)
	}
	if strings.Contains(r.Stderr(), "panic") {
		t.Error("a panic")
	}
	recorded, last := r.establishedAndEnd(t)
	for tuple, want := range visits.made {
		if recorded[tuple] != want {
			t.Errorf("%d records of %v established, want %d", recorded[tuple], tuple, want)
		}
	}
	if last.Read != last.Accounted || last.Read < statistics.TxPackets {
		t.Errorf("the run ends with %+v, want an account of all frames, of which the kernel counts %d", last, statistics.TxPackets)
	}
}

type frames struct{ Read, Accounted uint64 }

// establishedAndEnd returns the records of established connections by 4-tuple, and the account of
// the last record.
func (r *router) establishedAndEnd(t *testing.T) (recorded map[tuple]int, account frames) {
	t.Helper()
	recorded = make(map[tuple]int)
	for line := range bytes.Lines([]byte(r.read(t, "handshakes.json"))) {
		var next struct {
			Msg, Outcome string
			Src, Dst     netip.Addr
			Sport, Dport uint16
			Frames       frames
		}
		if err := json.Unmarshal(line, &next); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		account = next.Frames // of the last one
		if next.Msg == "handshake" && next.Outcome == "established" {
			recorded[tuple{netip.AddrPortFrom(next.Src, next.Sport), netip.AddrPortFrom(next.Dst, next.Dport)}]++
		}
	}
	return recorded, account
}

// explain reports connections that failed, the first few with the lines of the log about them.
func (r *router) explain(t *testing.T, failed map[tuple]error) {
	t.Helper()
	if len(failed) == 0 {
		return
	}
	const most = 20
	t.Errorf("%d connections failed", len(failed))
	lines := make(map[string]*strings.Builder) // by the client in a record
	for ends := range failed {
		if len(lines) == most {
			break
		}
		lines[fmt.Sprintf(`"src":"%v","sport":%d,`, ends.client.Addr(), ends.client.Port())] = new(strings.Builder)
	}
	client := regexp.MustCompile(`"src":"[^"]*","sport":\d+,`)
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		if of := lines[client.FindString(line)]; of != nil {
			of.WriteString(line)
		}
	}
	for ends, err := range failed {
		if of := lines[fmt.Sprintf(`"src":"%v","sport":%d,`, ends.client.Addr(), ends.client.Port())]; of != nil {
			t.Errorf("%v → %v: %v\n%s", ends.client, ends.server, err, of)
		}
	}
}

// tuple is the two ends of a connection.
type tuple struct{ client, server netip.AddrPort }

// visitors make connections to echo servers, and note the results.
type visitors struct {
	lab     *tuntest.Lab
	servers []netip.AddrPort
	victims *victims
	pending errgroup.Group
	clock   *runTime

	mu   sync.Mutex
	took []time.Duration
	made map[tuple]int
	errs map[tuple]error
}

// newVisitors starts the servers, on so many ports that the addresses of ended connections, which
// stay taken for a minute, leave free ones for the next.
func newVisitors(t *testing.T, lab *tuntest.Lab, known *victims) *visitors {
	v := &visitors{
		lab: lab, victims: known, clock: startRunTime(t.Context()),
		made: make(map[tuple]int), errs: make(map[tuple]error),
	}
	v.pending.SetLimit(500)
	for port := range uint16(32) {
		for _, host := range addresses() {
			server := netip.AddrPortFrom(netip.MustParseAddr(host), 7000+port)
			v.servers = append(v.servers, server)
			serveEcho(lab.Server, server.String())
		}
	}
	return v
}

// begin begins so many connections a second until over is closed, however long those before take.
func (v *visitors) begin(perSecond int, over <-chan struct{}) {
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	start := v.clock.now()
	for i := 0; ; {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		for due := int((v.clock.now() - start).Seconds() * float64(perSecond)); i < due; i++ {
			at := start + time.Duration(i)*time.Second/time.Duration(perSecond)
			n := i
			v.pending.Go(func() error {
				v.one([]*tuntest.Namespace{v.lab.Client, v.lab.Router}[n/2%2], n, at)
				return nil
			})
		}
	}
}

// one makes a connection that was to begin at a time, sends a few bytes, and has them back.
func (v *visitors) one(ns *tuntest.Namespace, i int, at time.Duration) {
	ends, err := v.visit(ns, v.servers[i/4*2%len(v.servers)+i%2])
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.errs[ends] = err
		return
	}
	v.took = append(v.took, v.clock.now()-at)
	v.made[ends]++
}

// visit makes a connection and exchanges a few bytes. Only its socket is made in the namespace: a
// thread that waited there for each connection would cost more than the router.
func (v *visitors) visit(ns *tuntest.Namespace, server netip.AddrPort) (ends tuple, err error) {
	var conn *os.File
	if err := ns.Do(func() error { conn, err = connectTo(server); return err }); err != nil {
		return ends, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(tuntest.Patience))
	if ends, err = connected(conn, server); err != nil {
		return ends, err
	}
	v.victims.add(ends)
	if _, err := conn.WriteString("hello"); err != nil {
		return ends, err
	}
	_, err = io.ReadFull(conn, make([]byte, 5))
	return ends, err
}

// connectTo begins to connect a socket.
func connectTo(server netip.AddrPort) (*os.File, error) {
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(server.Port())})
	if server.Addr().Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(server.Port()), Addr: server.Addr().As16()}
	} else {
		to.(*unix.SockaddrInet4).Addr = server.Addr().As4()
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, fmt.Errorf("connect: %w", err)
	}
	return os.NewFile(uintptr(fd), "visit of "+server.String()), nil
}

// connected waits until a socket is connected, and returns its ends.
func connected(conn *os.File, server netip.AddrPort) (ends tuple, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return ends, err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		if _, err := unix.Getpeername(int(fd)); err == unix.ENOTCONN {
			errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
			if failed = err; err == nil && errno != 0 {
				failed = unix.Errno(errno)
			}
			return failed != nil
		}
		local, err := unix.Getsockname(int(fd))
		ends, failed = tuple{addrPort(local), server}, err
		return true
	})
	return ends, errors.Join(err, failed)
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (v *visitors) percentile(percent int) time.Duration {
	slices.Sort(v.took)
	return v.took[len(v.took)*percent/100]
}

// victims are the ends of the last connections, which an attacker knows.
type victims struct {
	mu  sync.Mutex
	all [64]tuple
	n   int
}

func (v *victims) add(ends tuple) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all[v.n%len(v.all)] = ends
	v.n++
}

// any returns one of them; there is one.
func (v *victims) any(r *rand.Rand) tuple {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.all[r.IntN(min(v.n, len(v.all)))]
}
