package tuntest

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// The addresses of a client at the host's end of a pipe, and of servers for which [ToLoopback]
// leads to this machine's loopback.
var (
	ClientV4 = netip.MustParseAddr("198.51.100.1")
	ClientV6 = netip.MustParseAddr("2001:db8:1::1")
	ServerV4 = netip.MustParseAddr("192.0.2.1")
	ServerV6 = netip.MustParseAddr("2001:db8:2::1")
)

// ToLoopback is for dial.Options.Redirect.
func ToLoopback(dst netip.AddrPort) (netip.AddrPort, bool) {
	switch dst.Addr() {
	case ServerV4:
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), dst.Port()), true
	case ServerV6:
		return netip.AddrPortFrom(netip.IPv6Loopback(), dst.Port()), true
	}
	return dst, false
}

// clientPatience bounds the wait for a transfer, which the race detector slows down.
const clientPatience = 2 * Patience

// MustSend is Send, and fails the test if the pipe is closed.
func (e *PipeEnd) MustSend(t *testing.T, f Frame) {
	t.Helper()
	if err := e.Send(f); err != nil {
		t.Fatal(err)
	}
}

// MustReceive is Receive, and fails the test if no frame comes.
func (e *PipeEnd) MustReceive(t *testing.T) Frame {
	t.Helper()
	f, ok := e.Receive(clientPatience)
	if !ok {
		t.Fatal("nothing came to the client")
	}
	return f
}

// Exchange sends a datagram to a server, and waits until the far end has read it. It returns the
// address that the far end has seen.
func (e *PipeEnd) Exchange(t *testing.T, client, server netip.AddrPort, far *net.UDPConn) (seen netip.AddrPort) {
	t.Helper()
	question := UDP{Src: client, Dst: server, Payload: []byte("question")}
	e.MustSend(t, Frame{Data: question.Packet()})
	b := make([]byte, 100)
	n, seen, err := far.ReadFromUDPAddrPort(b)
	if err != nil || string(b[:n]) != "question" {
		t.Fatalf("far end got %q, %v", b[:n], err)
	}
	return seen
}

// ListenUDP returns a far end at an address, with a deadline for all that the test does with it.
func ListenUDP(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(clientPatience))
	return c.(*net.UDPConn)
}

// PortOf returns the port of a far end.
func PortOf(c *net.UDPConn) uint16 { return uint16(c.LocalAddr().(*net.UDPAddr).Port) }
