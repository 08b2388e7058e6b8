//go:build linux

package nat

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/sched"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) {
	tuntest.Reexec()
	goleak.VerifyTestMain(m)
}

const patience = 2 * tuntest.Patience // for transfers under the race detector

var (
	clientV4, clientV6 = tuntest.ClientV4, tuntest.ClientV6
	serverV4, serverV6 = tuntest.ServerV4, tuntest.ServerV6
)

const widePath = 1 << 16 // an MTU that no packet exceeds

// testRouter is a NAT between an in-memory link and host sockets. It is its own Router.
type testRouter struct {
	*NAT
	stats  Stats
	link   tun.Link
	host   *tuntest.PipeEnd // the client's end of the link
	poller *sched.Poller
	addrs  dial.HostAddrs
	stop   func() // ends the NAT and waits for it

	clientMTU   int
	routed      atomic.Int64 // frames that the read loop has routed
	reassembled atomic.Bool  // frames count as put together from fragments
	memory      int64        // limit in bytes
	charged     atomic.Int64
	charges     atomic.Int64  // made
	noMemory    atomic.Uint64 // drops

	mu       sync.Mutex
	failures []error
}

func (r *testRouter) WriteInbound(off tun.Offload, bufs [][]byte) error {
	return r.link.WriteFrame(off, bufs)
}

func (r *testRouter) WriteICMPError(b []byte) { _ = r.link.WriteFrame(tun.Offload{}, [][]byte{b}) }

func (r *testRouter) ClientMTU(netip.Addr) int { return r.clientMTU }

// TakeMemory charges all clients to one budget.
func (r *testRouter) TakeMemory(_ netip.Addr, _ bool, n int64) *atomic.Uint64 {
	if r.charged.Add(n) <= r.memory {
		r.charges.Add(1)
		return nil
	}
	r.charged.Add(-n)
	return &r.noMemory
}

func (r *testRouter) GiveMemory(_ netip.Addr, _ bool, n int64) { r.charged.Add(-n) }

func (r *testRouter) Idle() bool { return true }

func (r *testRouter) LocalFailure(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, err)
}

func (r *testRouter) localFailures() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]error(nil), r.failures...)
}

// newRouter returns a router over link, whose NAT the test drives itself.
func newRouter(tb testing.TB, link tun.Link, d dial.Options, o Options) *testRouter {
	tb.Helper()
	poller, err := sched.NewPoller(sched.NewBusyPoll(sched.New(1), 0))
	if err != nil {
		tb.Fatal(err)
	}
	r := &testRouter{link: link, poller: poller, clientMTU: widePath, memory: 1 << 30}
	o.MTU = 1500
	if o.OnHost == nil {
		o.OnHost = r.addrs.Contains
	}
	r.NAT = New(r, poller, dial.New(d), &r.stats, o)
	if r.recorder != nil {
		r.recorder.Patience = patience
	}
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			r.Close()
			_ = poller.Close()
			r.addrs.Close()
			if n := r.charged.Load(); n != 0 || r.stats.Memory.Load() != 0 {
				tb.Errorf("%d bytes are charged after the end", n)
			}
		})
	}
	tb.Cleanup(func() { r.stop() })
	return r
}

// route gives the NAT a frame as a router does.
func (r *testRouter) route(f tuntest.Frame) {
	in := tun.Frame{Head: f.Data[:min(len(f.Data), tun.HeadSize)]}
	in.Body = f.Data[len(in.Head):]
	in.Fill(len(f.Data), f.Offload)
	r.routeFrame(&in)
}

func (r *testRouter) routeFrame(f *tun.Frame) {
	h := &f.Headers
	if h.Problem == packet.Malformed || !h.Plain() {
		return
	}
	switch h.Proto {
	case packet.ProtoUDP:
		r.UDP(f, r.reassembled.Load())
	case icmpProto(h.Version == 6):
		r.Echo(f, r.reassembled.Load())
	}
}

// run serves the router until the test ends; enter calls the read loop in the network namespace of
// the host sockets.
func (r *testRouter) run(t *testing.T, enter func(func() error) error) {
	t.Helper()
	var serving, reading sync.WaitGroup
	serving.Go(r.poller.Run)
	serving.Go(r.Serve)
	reading.Go(func() {
		if err := enter(r.readLoop); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read loop: %v", err)
		}
	})
	closeNAT := r.stop
	r.stop = func() {
		_ = r.link.Close()
		reading.Wait()
		closeNAT()
		serving.Wait()
	}
}

func (r *testRouter) readLoop() error {
	head, body := make([]byte, tun.HeadSize), make([]byte, tun.MaxFrame)
	for {
		f := tun.Frame{Head: head, Body: body}
		if err := r.link.ReadFrame(&f); err != nil {
			return err
		}
		r.routeFrame(&f)
		r.routed.Add(1)
	}
}

// startRouter runs a router over an in-memory link and this machine's loopback: a client addresses
// serverV4 or serverV6 and reaches 127.0.0.1 or ::1.
func startRouter(t *testing.T, o Options, policy dial.Policy) *testRouter {
	t.Helper()
	link, host := tuntest.NewPipe(1500)
	r := newRouter(t, link, dial.Options{Policy: policy, Redirect: tuntest.ToLoopback}, o)
	r.host = host
	r.run(t, func(f func() error) error { return f() })
	return r
}

// routerIn runs a router whose host sockets are in a network namespace, with ping sockets allowed
// there or not.
func routerIn(t *testing.T, ns *tuntest.Namespace, pingSockets bool, d dial.Options) *testRouter {
	t.Helper()
	groups := "1 0" // no group
	if pingSockets {
		groups = "0 2147483647"
	}
	ns.Sysctl("net.ipv4.ping_group_range", groups)
	link, host := tuntest.NewPipe(1500)
	r := newRouter(t, link, d, Options{})
	r.host = host
	r.run(t, ns.Do)
	return r
}

// wantNoAnswer fails the test if something has come to the client.
func (r *testRouter) wantNoAnswer(t *testing.T) {
	t.Helper()
	_ = r.WriteInbound(tun.Offload{}, [][]byte{[]byte("the end")})
	for f := r.host.MustReceive(t); string(f.Data) != "the end"; f = r.host.MustReceive(t) {
		t.Errorf("answered: %x", f.Data)
	}
}

// receiveUDP returns the datagram that comes to the client next, or each of a GSO packet, after
// checking its headers.
func (r *testRouter) receiveUDP(t *testing.T) (from, to netip.AddrPort, payloads [][]byte) {
	t.Helper()
	return parseUDP(t, r.host.MustReceive(t))
}

// parse returns the headers of a whole packet, and the bytes behind the IP header.
func parse(t *testing.T, b []byte) (h packet.Headers, message []byte) {
	t.Helper()
	if h.Parse(b, len(b)); h.Problem != packet.NoProblem || h.Length != len(b) || !h.Plain() {
		t.Fatalf("no packet: %x", b)
	}
	return h, b[h.Offset:]
}

func parseUDP(t *testing.T, f tuntest.Frame) (from, to netip.AddrPort, payloads [][]byte) {
	t.Helper()
	h, u := parse(t, f.Data)
	if h.Proto != packet.ProtoUDP {
		t.Fatalf("no UDP packet: %x", f.Data)
	}
	if n := int(binary.BigEndian.Uint16(u[4:])); n != len(u) {
		t.Errorf("UDP length %d in a message of %d bytes", n, len(u))
	}
	want := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(h.Offset), CsumOffset: 6}
	segment := int(f.Offload.GSOSize)
	if f.Offload.GSO != tun.GSONone {
		want.GSO, want.GSOSize, want.HdrLen = tun.GSOUDP, uint16(segment), uint16(h.Offset+8)
	}
	if diff := cmp.Diff(want, f.Offload); diff != "" {
		t.Errorf("offload (-want +got):\n%s", diff)
	}
	// The kernel finishes the checksum of such a frame.
	binary.BigEndian.PutUint16(u[6:], ^packet.Checksum(u, 0))
	if err := tuntest.VerifyChecksums(f.Data); err != nil {
		t.Error(err)
	}
	payload := u[packet.UDPHeaderLen:]
	for segment > 0 && len(payload) > segment {
		payloads = append(payloads, payload[:segment])
		payload = payload[segment:]
	}
	from, to = h.Ends(f.Data)
	return from, to, append(payloads, payload)
}

// icmpMessage is an ICMP error that came to a client.
type icmpMessage struct {
	From      netip.Addr
	Type      uint8
	Code      uint8
	Rest      uint32
	quote     []byte
	addressee netip.Addr
	hopLimit  uint8
}

func (r *testRouter) receiveICMP(t *testing.T) icmpMessage {
	t.Helper()
	b := r.host.MustReceive(t).Data
	if err := tuntest.VerifyChecksums(b); err != nil {
		t.Error(err)
	}
	h, m := parse(t, b)
	if h.Proto != icmpProto(h.Version == 6) || len(m) < packet.ICMPHeaderLen {
		t.Fatalf("no ICMP message: %x", b)
	}
	return icmpMessage{
		From: h.Src(b), Type: m[0], Code: m[1], Rest: binary.BigEndian.Uint32(m[4:]),
		quote: m[packet.ICMPHeaderLen:], addressee: h.Dst(b), hopLimit: hopLimitOf(b),
	}
}

// hopLimitOf returns the hop limit or TTL of an IP packet.
func hopLimitOf(b []byte) uint8 {
	if b[0]>>4 == 6 {
		return b[7]
	}
	return b[8]
}

// udpFamilies runs a test over IPv4 and IPv6. Datagrams to server end up at loopback.
func udpFamilies(
	t *testing.T, test func(t *testing.T, client, server netip.Addr, loopback string),
) {
	t.Run("IPv4", func(t *testing.T) { test(t, clientV4, serverV4, "127.0.0.1:0") })
	t.Run("IPv6", func(t *testing.T) { test(t, clientV6, serverV6, "[::1]:0") })
}

// listenIn is listenUDP in a network namespace.
func listenIn(ns *tuntest.Namespace, address, port string) *net.UDPConn {
	c := ns.ListenPacket("udp", net.JoinHostPort(address, port)).(*net.UDPConn)
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// lonePeer opens a UDP socket on the loopback that is read without allocation.
func lonePeer(tb testing.TB) (fd int, port uint16) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatal(err)
	}
	return fd, dial.LocalAddr(fd).Port()
}

// randomBytes returns n bytes that are always the same.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}
