//go:build linux

package stack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// The record of a handshake may be there before netstack has seen the client's ACK. Nothing is
// carried before both are.
func TestRecordedBeforeACK(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	ended := make(chan tunflow.Flow, 1)
	done := func(f tunflow.Flow) { ended <- f }
	router := startRouter(t, Options{AwaitRecord: true, FlowDone: done}, dial.Policy{})
	client, server := handPair(port)
	c := router.byHand(client, server, 1000)
	synack := c.synReceived(t)
	router.Recorded(c.key(), synack.seq, nil)
	if n := router.stats.HalfOpen.Load(); n != 1 {
		t.Errorf("%d connections wait for their client, want 1", n)
	}
	c.send(t, tuntest.ACK)
	c.send(t, tuntest.ACK, 'x')
	c.awaitPayload(t, "x")
	c.send(t, tuntest.ACK|tuntest.RST)
	if f := within(t, ended); f.ServerISN != synack.seq || f.Inbound != 1 || f.Outbound != 1 {
		t.Errorf("the connection ended as %+v, want the number %d and a byte each way", f, synack.seq)
	}
}

// A client may reset so soon behind its ACK that netstack has seen both before the stack has seen
// one. The end of that connection is reported behind its record.
func TestResetBehindACK(t *testing.T) {
	failed := make(chan error, 1)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_, err := io.Copy(io.Discard, c)
		failed <- err
	})
	for _, early := range []bool{false, true} {
		ended := make(chan tunflow.Flow, 1)
		done := func(f tunflow.Flow) { ended <- f }
		router := startRouter(t, Options{AwaitRecord: true, FlowDone: done}, dial.Policy{})
		for i := range 100 {
			client, server := handPair(port)
			client = netip.AddrPortFrom(client.Addr(), uint16(10_000+i))
			c := router.byHand(client, server, 1000)
			synack := c.synReceived(t)
			if early {
				router.Recorded(c.key(), synack.seq, nil)
			}
			c.send(t, tuntest.ACK)
			c.send(t, tuntest.ACK|tuntest.RST)
			if !early {
				tuntest.Wait(t, "the client's ACK", func() bool { return router.stats.HalfOpen.Load() == 0 })
				router.Recorded(c.key(), synack.seq, nil)
			}
			f := within(t, ended)
			if f.Key != c.key() || f.ServerISN != synack.seq || f.End != tunflow.ClientRST || f.Duration <= 0 {
				t.Fatalf("the connection ended as %+v, want a RST of the client", f)
			}
			if err := within(t, failed); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the far side's read ends with %v, want a reset", err)
			}
			tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
		}
	}
}

// A connection that a client resets right behind its ACK does not wait for its record for ever.
func TestLost(t *testing.T) {
	for _, happens := range []event{timeIsOver, routerStops, clientSendsSYN} {
		t.Run(string(happens), func(t *testing.T) {
			e := newEndingTest(t)
			e.enter(t, synReceived)
			e.conn().end(clientRST)
			if got := e.conn().phase.Load(); got != lost {
				t.Fatalf("the connection is %s, want %s", phaseName(got), phaseName(lost))
			}
			e.happen(t, happens)
			if happens == clientSendsSYN {
				e.goesOn(t, lost)
				e.router.Recorded(e.client.key(), 0, nil)
				within(t, e.held) // the client's next handshake
				return
			}
			e.ends(t, lost, map[event]cause{timeIsOver: noRecord, routerStops: stopped}[happens])
		})
	}
}

// Time for which this process has not run does not count for a handshake: what came meanwhile, such
// as the client's ACK, may still be unread when its timer fires.
func TestStandstillExtendsHandshake(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	held := make(chan func(), 1)
	hold := func(_ tunflow.Key, answer func()) { held <- answer }
	for _, tt := range []struct {
		name  string
		hold  func(k tunflow.Key, answer func())
		phase phase
	}{{"synSent", hold, synSent}, {"synReceived", nil, synReceived}} {
		t.Run(tt.name, func(t *testing.T) {
			for _, stands := range []bool{true, false} {
				router := startRouter(t, Options{
					BeforeAnswer: tt.hold, DialTimeout: patience, HandshakeTimeout: patience,
				}, dial.Policy{})
				client, server := handPair(port)
				c := router.byHand(client, server, 1000)
				answer := func() {}
				if c.send(t, tuntest.SYN); tt.hold != nil {
					answer = within(t, held)
				} else {
					c.awaitSYNACK(t)
				}
				router.mu.Lock()
				f := router.conns[connKey{client: client, server: server}]
				router.mu.Unlock()
				if got := f.phase.Load(); got != tt.phase {
					t.Fatalf("phase %d, want %d", got, tt.phase)
				}
				f.expire() // too early: the phase has changed meanwhile
				if !stands {
					f.endTime()
					tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
					continue
				}
				router.mu.Lock()
				f.handshake.deadline = time.Now()
				router.mu.Unlock()
				router.stood.mu.Lock()
				router.stood.next = time.Now().Add(-patience) // the sweeper has not run yet
				router.stood.mu.Unlock()
				f.expire()
				if answer(); tt.hold != nil {
					c.awaitSYNACK(t)
				}
				c.send(t, tuntest.ACK)
				c.send(t, tuntest.ACK, 'x')
				c.awaitPayload(t, "x")
			}
		})
	}
}
