//go:build linux

package stack

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"syntap/stack/dial"
	"syntap/stack/netstack"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// No payload passes before the handshake is on record; a connection that waits for it in vain is
// reset.
func TestAwaitRecord(t *testing.T) {
	received := make(chan []byte)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_, _ = c.Write([]byte("hello"))
		b, _ := io.ReadAll(c)
		received <- b
	})
	connect := func(timeout time.Duration) (*testRouter, net.Conn, tunflow.Dial) {
		dialled := make(chan tunflow.Dial, 1)
		router := startRouter(t, Options{
			AwaitRecord: true, HandshakeTimeout: timeout,
			DialDone: func(d tunflow.Dial) { dialled <- d },
		}, dial.Policy{})
		c := newClient(t, router).dial(t, serverV4, port)
		if _, err := c.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		return router, c, within(t, dialled)
	}

	router, c, d := connect(time.Second)
	other := d.Key
	other.ISN++
	router.Recorded(other, 0, nil)
	if b, err := io.ReadAll(c); err == nil || len(b) != 0 {
		t.Errorf("client has received %q, %v, want a reset", b, err)
	}
	if b := <-received; len(b) != 0 {
		t.Errorf("server has received %q", b)
	}
	if n := router.stats.Unrecorded.Load(); n != 1 {
		t.Errorf("%d connections counted, want 1", n)
	}

	router, c, d = connect(patience)
	router.Recorded(d.Key, 0, nil)
	router.Recorded(d.Key, 0, nil)
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Errorf("client has received %q, %v", b, err)
	}
	_ = c.Close()
	if b = <-received; string(b) != "question" {
		t.Errorf("server has received %q", b)
	}
}

// A client that has vanished without acknowledging our FIN holds up no stop.
func TestStopWhileClosing(t *testing.T) {
	finished, vanished := make(chan struct{}), make(chan struct{})
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_, _ = io.ReadAll(c)
		close(finished)
		<-vanished
	})
	router := startRouter(t, Options{}, dial.Policy{})
	client := newClient(t, router)
	c := client.dial(t, serverV4, port)
	_ = c.CloseWrite()
	<-finished
	if err := client.net.DisableNIC(netstack.NIC); err != nil {
		t.Fatal(err)
	}
	close(vanished)
	isClosing := func() bool {
		router.mu.Lock()
		defer router.mu.Unlock()
		for _, f := range router.conns {
			return f.phase.Load() == closing
		}
		return false
	}
	tuntest.Wait(t, "flow closing", isClosing)
	if n := router.stats.TCPFlows.Load(); n != 1 {
		t.Errorf("flows: %d, want the one that netstack still closes", n)
	}
	router.stop()
	if n := router.stats.TCPFlows.Load(); n != 0 {
		t.Errorf("flows after the end: %d", n)
	}
}

// A connection that moves much gets large buffers from the budget, and gives them back when it is
// quiet.
func TestBuffersGrowAndShrink(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	router := startRouter(t, Options{sweepInterval: 250 * time.Millisecond}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	lent := func() int64 { return router.memory.Lent() }
	if n := lent(); n != 0 {
		t.Errorf("%d bytes lent to a flow that has moved nothing", n)
	}
	data := randomBytes(growAfter)
	move := func() { // all there and back
		go func() { _, _ = c.Write(data) }()
		if _, err := io.ReadFull(c, make([]byte, len(data))); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		tuntest.Wait(t, "large buffers", func() bool { move(); return lent() == largeReceiveBuffer+largeSendBuffer+maxRead })
		tuntest.Wait(t, "small buffers again", func() bool { return lent() == 0 })
	}
	tuntest.Wait(t, "large buffers", func() bool { move(); return lent() > 0 })
	_ = c.Close()
	tuntest.Wait(t, "all given back", func() bool { return lent() == 0 && router.stats.TCPFlows.Load() == 0 })
}

// A SYN or a datagram of a host socket of our own comes back when the host's rules are wrong.
func TestOwnSocketsAreDropped(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	dials := make(chan tunflow.Dial, 10)
	router := startRouter(t, Options{DialDone: func(d tunflow.Dial) { dials <- d }}, dial.Policy{})
	newClient(t, router).dial(t, serverV4, port)
	own := <-dials
	syn := tuntest.TCP{Src: own.Local, Dst: own.Remote, Flags: tuntest.SYN, Window: 65535}.Packet()
	router.host.MustSend(t, tuntest.Frame{Data: syn})
	tuntest.Wait(t, "SYN dropped", func() bool { return router.stats.DropOwnSocket.Load() == 1 })
}

// Packets of other protocols than TCP, UDP and ICMP are counted.
func TestOtherProtocolsAreCounted(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{})
	packet := tuntest.UDP{Src: netip.AddrPortFrom(clientV4, 1), Dst: netip.AddrPortFrom(serverV4, 1)}.Packet()
	packet[9] = 132 // SCTP; the checksum of the header is not verified here
	router.host.MustSend(t, tuntest.Frame{Data: packet})
	tuntest.Wait(t, "counted", func() bool { return router.stats.DropProtocol.Load() == 1 })
}

// Netstack knows the addresses of every connection for as long as there is one, and finds them in a
// map.
func TestAddressesOfFlows(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	router := startRouter(t, Options{}, dial.Policy{})
	client := newClient(t, router)
	addrs := func() int { return len(router.net.AllAddresses()[netstack.NIC]) }
	before := addrs()
	first, second := client.dial(t, serverV4, port), client.dial(t, serverV4, port)
	_ = first.Close()
	tuntest.Wait(t, "one flow", func() bool { return router.stats.TCPFlows.Load() == 1 })
	for _, want := range []netip.Addr{clientV4, serverV4} {
		if addr := tcpip.AddrFrom4(want.As4()); router.net.CheckLocalAddress(netstack.NIC, ipv4.ProtocolNumber, addr) != netstack.NIC {
			t.Errorf("netstack does not have %s", want)
		}
	}
	if n := addrs(); n != before+2 {
		t.Errorf("netstack has %d addresses, had %d", n, before)
	}
	_ = second.Close()
	tuntest.Wait(t, "no flow and no address", func() bool { return router.stats.TCPFlows.Load() == 0 && addrs() == before })
}
