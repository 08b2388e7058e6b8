//go:build linux

package stack

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// handPair returns addresses for a client by hand of IPv4.
// startEcho starts a router, and a server that sends back what it gets.
func startEcho(t *testing.T, o Options) (router *testRouter, client, server netip.AddrPort) {
	t.Helper()
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	client, server = handPair(port)
	return startRouter(t, o, dial.Policy{}), client, server
}

func handPair(port int) (client, server netip.AddrPort) {
	return netip.AddrPortFrom(clientV4, 4000), netip.AddrPortFrom(serverV4, uint16(port))
}

// A SYN with another number that comes while its 4-tuple is in use begins the next handshake as
// soon as that is free: the client need not send it again.
func TestNextSYNIsKept(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	gone := make(chan uint32, 10)
	forgotten := func(k tunflow.Key) { gone <- k.ISN }
	router := startRouter(t, Options{Gone: forgotten}, dial.Policy{})
	client, server := handPair(port)
	first := router.byHand(client, server, 1000)
	first.connect(t)
	first.send(t, tuntest.ACK, 'x')
	first.awaitPayload(t, "x") // and so the connection is open
	second := first.again(5000)
	second.send(t, tuntest.SYN)
	first.send(t, tuntest.RST)
	second.awaitSYNACK(t)
	if isn := within(t, gone); isn != first.isn {
		t.Errorf("the handshake %d is over first, want %d", isn, first.isn)
	}
	second.send(t, tuntest.ACK)
	second.send(t, tuntest.ACK, 'y')
	second.awaitPayload(t, "y")
}

// A kept SYN that comes once more asks whether the connection is still there, and is netstack's to
// answer.
func TestNextSYNAgainIsChallenged(t *testing.T) {
	router, client, server := startEcho(t, Options{})
	first := router.byHand(client, server, 1000)
	first.connect(t)
	first.send(t, tuntest.ACK, 'x')
	first.awaitPayload(t, "x")
	first.send(t, tuntest.ACK)
	second := first.again(5_000_000)
	second.send(t, tuntest.SYN)
	second.again(5_000_000).send(t, tuntest.SYN)
	if s := first.awaitACK(t); s.seq != first.ack || s.ack != first.seq {
		t.Errorf("challenge ACK with seq %d, ack %d, want %d, %d", s.seq, s.ack, first.ack, first.seq)
	}
}

// A client that gives a handshake up and begins anew from the same port while the far side is being
// dialled gets its new one.
func TestNextSYNWhileDialling(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	answers := make(chan func(), 10)
	router := startRouter(t, Options{BeforeAnswer: func(k tunflow.Key, answer func()) {
		if k.ISN == 1000 {
			return // as long as the caller does not know whose connection it is
		}
		answers <- answer
	}}, dial.Policy{})
	client, server := handPair(port)
	first := router.byHand(client, server, 1000)
	first.send(t, tuntest.SYN)
	tuntest.Wait(t, "the first handshake", func() bool { return router.stats.TCPFlows.Load() == 1 })
	second := first.again(5000)
	second.send(t, tuntest.SYN)
	within(t, answers)()
	second.awaitSYNACK(t)
	if n := router.stats.TCPFlows.Load(); n != 1 {
		t.Errorf("%d handshakes, want the second alone", n)
	}
}

// A SYN that has waited for longer than clients take to send it again begins nothing.
func TestNextSYNAges(t *testing.T) {
	router, client, server := startEcho(t, Options{})
	first := router.byHand(client, server, 1000)
	first.connect(t)
	first.send(t, tuntest.ACK, 'x')
	first.awaitPayload(t, "x")
	first.again(5000).send(t, tuntest.SYN)
	key := connKey{client: client, server: server}
	tuntest.Wait(t, "the SYN kept", func() bool {
		router.mu.Lock()
		defer router.mu.Unlock()
		f := router.conns[key]
		if f.next == nil {
			return false
		}
		f.next.at = time.Now().Add(-nextSYNAge)
		return true
	})
	first.send(t, tuntest.RST)
	tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
	if n := router.stats.Dials[tunflow.Connected].Load(); n != 1 {
		t.Errorf("%d connections were dialled, want the first alone", n)
	}
	tuntest.Wait(t, "no charge", func() bool { return router.memory.Charged() == 0 })
}

// A client that gives up a handshake which the router has answered begins anew from the same port.
// Netstack asks whether it has (RFC 5961 §4): the client sends a RST, and its SYN again.
func TestNextSYNWhileAnswering(t *testing.T) {
	router, client, server := startEcho(t, Options{})
	first := router.byHand(client, server, 1000)
	first.synReceived(t)
	second := first.again(5_000_000)
	second.send(t, tuntest.SYN)
	if s := first.await(t, tuntest.ACK); s.ack != first.seq {
		t.Errorf("challenge ACK acknowledges %d, want %d", s.ack, first.seq)
	}
	first.send(t, tuntest.RST)
	tuntest.Wait(t, "the first handshake is over", func() bool { return router.stats.TCPFlows.Load() == 0 })
	second = first.again(5_000_000)
	second.connect(t)
	second.send(t, tuntest.ACK, 'y')
	second.awaitPayload(t, "y")
}

// A client resets as soon as it is connected and begins anew from the same port: netstack, for
// which the first connection is just over, does not refuse the second.
func TestNextSYNBehindReset(t *testing.T) {
	router, client, server := startEcho(t, Options{AwaitRecord: true})
	for i := range 10 {
		first := router.byHand(client, server, uint32(1000+i*1_000_000))
		first.connect(t)
		first.send(t, tuntest.RST)
		second := first.again(first.isn + 50_000) // in the window
		second.send(t, tuntest.SYN)
		for answered := false; !answered; {
			router.Recorded(first.key(), 0, nil)
			f, ok := router.host.Receive(100 * time.Millisecond)
			if !ok {
				second = second.again(second.isn)
				second.send(t, tuntest.SYN)
				continue
			}
			s, _ := parseSegment(f.Data)
			answered = s.ack == second.seq && s.flags == tuntest.SYN|tuntest.ACK
			if s.ack == second.seq && s.flags&tuntest.RST != 0 {
				t.Fatalf("handshake %d is refused", i)
			}
			second.ack = s.seq + 1
		}
		second.send(t, tuntest.RST)
		tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
	}
}

// The client's RST, its next SYN and the same SYN once more are read in one go, as after a second
// in which this process has not run.
func TestNextSYNsBehindReset(t *testing.T) {
	oneProcessor(t)
	router, client, server := startEcho(t, Options{})
	for i := range 100 {
		first := router.byHand(client, server, uint32(1000+i*1_000_000))
		first.connect(t)
		first.send(t, tuntest.ACK, 'x')
		first.awaitPayload(t, "x")
		first.send(t, tuntest.RST)
		second := first.again(first.isn + 500_000)
		second.send(t, tuntest.SYN)
		second.again(second.isn).send(t, tuntest.SYN)
		for {
			f, ok := router.host.Receive(patience)
			if !ok {
				t.Fatalf("handshake %d is not answered", i)
			}
			s, _ := parseSegment(f.Data)
			if s.ack == second.seq && s.flags&tuntest.RST != 0 {
				t.Fatalf("handshake %d is refused", i)
			}
			if s.ack == second.seq {
				break
			}
		}
		second.send(t, tuntest.RST)
		tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
	}
}
