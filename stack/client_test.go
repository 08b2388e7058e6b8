//go:build linux

package stack

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"syntap/stack/dial"
	"syntap/stack/netstack"
	"syntap/tun"
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

// testRouter is a Stack between an in-memory link and this machine's loopback: a client addresses
// serverV4 or serverV6 and reaches 127.0.0.1 or ::1.
type testRouter struct {
	*Stack
	host *tuntest.PipeEnd // the client's end of the link
	stop func()           // ends Run and waits for it
}

// oneProcessor has the goroutines of a test take turns.
func oneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func startRouter(t *testing.T, o Options, policy dial.Policy) *testRouter {
	t.Helper()
	return startShards(t, 1, o, policy)
}

// startShards starts a router with a number of shards. Each gets the next frame in turn.
func startShards(t *testing.T, n int, o Options, policy dial.Policy) *testRouter {
	t.Helper()
	router, host := tuntest.NewPipe(1500)
	dialer := dial.New(dial.Options{Policy: policy, Redirect: tuntest.ToLoopback})
	s, err := New(takeTurns(router, n), dialer, o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return runRouter(t, s, host, func(run func() error) error { return run() })
}

// runRouter runs a Stack until the test ends; enter calls it in the network namespace it is to work
// in.
func runRouter(t *testing.T, s *Stack, host *tuntest.PipeEnd, enter func(func() error) error) *testRouter {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- enter(func() error { return s.Run(ctx) }) }()
	var once sync.Once
	r := &testRouter{Stack: s, host: host}
	r.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("Run: %v", err)
				}
			case <-time.After(patience):
				t.Error("Run does not return")
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

// testClient is a second netstack at the host's end of the link: a client whose every move is ours.
type testClient struct {
	net     *netstack.Stack
	ignored atomic.Pointer[netip.Addr] // whose packets it does not see
}

func newClient(t *testing.T, r *testRouter) *testClient {
	t.Helper()
	n, err := netstack.New(r.host, netstack.Options{Buffers: netstackBuffers()})
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	for _, pa := range []tcpip.ProtocolAddress{
		{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom4(clientV4.As4()).WithPrefix()},
		{Protocol: ipv6.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom16(clientV6.As16()).WithPrefix()},
	} {
		if err := n.AddProtocolAddress(netstack.NIC, pa, gstack.AddressProperties{}); err != nil {
			t.Fatalf("client address: %v", err)
		}
	}
	c := &testClient{net: n}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		head, body := make([]byte, 128), make([]byte, bodySize)
		for {
			f := tun.Frame{Head: head, Body: body}
			if err := r.host.ReadFrame(&f); err != nil {
				return
			}
			whole := slices.Concat(f.Head, f.Body)
			if not := c.ignored.Load(); not != nil && bytes.Contains(whole[:20], not.AsSlice()) {
				continue
			}
			n.DeliverCopy(whole)
		}
	}()
	t.Cleanup(func() {
		r.stop()
		<-ended
		n.Close()
		n.Wait()
	})
	return c
}

// dial connects to a port of the server and fails the test if that does not work.
func (c *testClient) dial(t *testing.T, server netip.Addr, port int) *gonet.TCPConn {
	t.Helper()
	conn, err := c.tryDial(server, port, patience)
	if err != nil {
		t.Fatalf("dial %s port %d: %v", server, port, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func (c *testClient) tryDial(server netip.Addr, port int, patience time.Duration) (*gonet.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	proto, src := ipv4.ProtocolNumber, tcpip.AddrFrom4(clientV4.As4())
	if server.Is6() {
		proto, src = ipv6.ProtocolNumber, tcpip.AddrFrom16(clientV6.As16())
	}
	return gonet.DialTCPWithBind(ctx, c.net.Stack,
		tcpip.FullAddress{NIC: netstack.NIC, Addr: src},
		tcpip.FullAddress{NIC: netstack.NIC, Addr: tcpip.AddrFromSlice(server.AsSlice()), Port: uint16(port)}, tcpip.NetworkProtocolNumber(proto))
}

// reset makes every connection of the client send a RST.
func (c *testClient) reset() {
	for _, ep := range c.net.RegisteredEndpoints() {
		ep.Abort()
	}
}

// serve accepts connections on a loopback port and hands each to handle.
func serve(t *testing.T, network string, handle func(*net.TCPConn)) (port int) {
	t.Helper()
	l, err := net.Listen(network, map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network])
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handlers.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				handle(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		handlers.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}
