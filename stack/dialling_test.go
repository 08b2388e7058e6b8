//go:build linux

package stack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// A failure of this host says nothing about the far side: the client is not answered, and its next
// SYN dials again.
func TestLocalFailureDialsAgain(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	var mended atomic.Bool
	dials := make(chan tunflow.Dial, 10)
	router := startRouter(t, Options{
		DialDone: func(d tunflow.Dial) { dials <- d },
		// This host does not have the client's address.
		KeepSource: func(netip.Addr) bool { return !mended.Load() },
	}, dial.Policy{})
	client, server := handPair(port)
	c := router.byHand(client, server, 1000)
	for times := uint64(1); times <= 2; times++ {
		c.again(c.isn).send(t, tuntest.SYN)
		tuntest.Wait(t, "a local failure", func() bool {
			return router.stats.LocalFailures.Snapshot()["EADDRNOTAVAIL"] == times
		})
	}
	mended.Store(true)
	c.connect(t)
	c.send(t, tuntest.ACK, 'x')
	c.awaitPayload(t, "x")
	if d := within(t, dials); d.Answer != tunflow.Connected || len(dials) != 0 {
		t.Errorf("the dial ended with %v, want %v alone", d, tunflow.Connected)
	}
}

// A handshake that has met failures of this host alone has no answer, and its record names the
// last.
func TestLocalFailureIsReported(t *testing.T) {
	dials := make(chan tunflow.Dial, 10)
	router := startRouter(t, Options{
		DialTimeout: 50 * time.Millisecond,
		DialDone:    func(d tunflow.Dial) { dials <- d },
		KeepSource:  func(netip.Addr) bool { return true },
	}, dial.Policy{})
	client, server := handPair(80)
	router.byHand(client, server, 1000).send(t, tuntest.SYN)
	if d := within(t, dials); d.Answer != tunflow.NoReply || d.Error != "EADDRNOTAVAIL" {
		t.Errorf("the dial ended with %v, want %v for EADDRNOTAVAIL", d, tunflow.NoReply)
	}
	tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
	if _, answered := router.host.Receive(0); answered {
		t.Error("the client is answered")
	}
}

// The same SYN once more, while the far side is dialled or the client's ACK is awaited, begins
// nothing and disturbs nothing.
func TestSameSYNAgain(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	held := make(chan func(), 1)
	router := startRouter(t, Options{
		BeforeAnswer: func(_ tunflow.Key, answer func()) { held <- answer },
	}, dial.Policy{})
	client, server := handPair(port)
	c := router.byHand(client, server, 1000)
	c.send(t, tuntest.SYN)
	answer := within(t, held)
	c.again(c.isn).send(t, tuntest.SYN)
	answer()
	c.awaitSYNACK(t)
	c.again(c.isn).send(t, tuntest.SYN)
	c.send(t, tuntest.ACK)
	c.send(t, tuntest.ACK, 'x')
	c.awaitPayload(t, "x")
	if n := router.stats.Dials[tunflow.Connected].Load(); n != 1 {
		t.Errorf("%d dials, want 1", n)
	}
}

// The caller learns of destinations that policy forbids.
func TestDeniedIsReported(t *testing.T) {
	denied := make(chan netip.Addr, 1)
	router := startRouter(t, Options{
		Denied: func(server netip.Addr, _ *tunflow.Decision) { denied <- server },
	}, dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	server := netip.MustParseAddrPort("203.0.113.9:80")
	router.byHand(netip.AddrPortFrom(clientV4, 4000), server, 1000).send(t, tuntest.SYN)
	if got := within(t, denied); got != server.Addr() {
		t.Errorf("the app learned of %v, want %v", got, server.Addr())
	}
}

// Errors of the host socket and of netstack tell a reset from an end that has fallen silent.
func TestFailureCauses(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want cause
	}{
		{unix.ECONNRESET, serverRST},
		{unix.EPIPE, serverRST},
		{unix.ETIMEDOUT, serverTimeout},
	} {
		var errno syscall.Errno
		if errors.As(tt.err, &errno); serverFailure(errno) != tt.want {
			t.Errorf("%v ends a connection by %d, want %d", tt.err, serverFailure(errno), tt.want)
		}
	}
	if got := clientFailure(&tcpip.ErrConnectionReset{}); got != clientRST {
		t.Errorf("a reset of the client ends a connection by %d, want %d", got, clientRST)
	}
	if got := clientFailure(&tcpip.ErrTimeout{}); got != clientTimeout {
		t.Errorf("a silent client ends a connection by %d, want %d", got, clientTimeout)
	}
}
