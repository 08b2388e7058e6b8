//go:build linux

package stack

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// event is something that happens to a connection from outside.
type event string

const (
	clientSendsRST event = "client RST"
	clientSendsFIN event = "client FIN"
	clientSendsSYN event = "client SYN with another number"
	serverSendsFIN event = "server FIN"
	serverSendsRST event = "server RST"
	timeIsOver     event = "timeout"
	routerStops    event = "stop"
)

// none is the cause of an event that ends nothing.
const none = causes

// TestEndings has every event happen in every phase, with a real netstack and real sockets, and
// compares what both ends see with the actions of the table endings.
func TestEndings(t *testing.T) {
	for _, tt := range []struct {
		phase  phase
		causes map[event]cause
	}{
		{synSent, map[event]cause{
			clientSendsRST: none, clientSendsSYN: givenUp, timeIsOver: noReply, routerStops: stopped,
		}},
		{synReceived, map[event]cause{
			clientSendsRST: noHandshake, clientSendsSYN: none, serverSendsFIN: none, serverSendsRST: none,
			timeIsOver: noACK, routerStops: stopped,
		}},
		{acknowledged, map[event]cause{
			clientSendsRST: none, clientSendsFIN: none, clientSendsSYN: none, serverSendsFIN: none, serverSendsRST: none,
			timeIsOver: noRecord, routerStops: stopped,
		}},
		{established, map[event]cause{
			clientSendsRST: clientRST, clientSendsFIN: clientFIN, clientSendsSYN: none,
			serverSendsFIN: serverFIN, serverSendsRST: serverRST, timeIsOver: none, routerStops: stopped,
		}},
		{closing, map[event]cause{
			clientSendsRST: clientClosed, clientSendsSYN: none, timeIsOver: none, routerStops: stopped,
		}},
	} {
		for happens, why := range tt.causes {
			t.Run(phaseName(tt.phase)+", "+string(happens), func(t *testing.T) {
				e := newEndingTest(t)
				e.enter(t, tt.phase)
				e.happen(t, happens)
				if why == none {
					e.goesOn(t, tt.phase)
					return
				}
				e.ends(t, tt.phase, why)
			})
		}
	}
}

func phaseName(p phase) string {
	return [phases]string{"syn sent", "syn received", "acknowledged", "established", "closing", "lost", "closed"}[p]
}

// endingTest is one connection, with all that its ends and the caller see.
type endingTest struct {
	router *testRouter
	client *handClient
	server *net.TCPConn
	read   chan error  // how the server's read ends: nil for a FIN
	held   chan func() // the answers to the client
	dials  atomic.Int32
	flows  atomic.Int32
}

func newEndingTest(t *testing.T) *endingTest {
	e := &endingTest{read: make(chan error, 1), held: make(chan func(), 10)}
	accepted, over := make(chan *net.TCPConn, 1), make(chan struct{})
	var first atomic.Bool
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		if first.CompareAndSwap(false, true) { // else it is of another handshake
			accepted <- c
			_, err := io.Copy(io.Discard, c)
			e.read <- err
		}
		<-over
	})
	t.Cleanup(func() { close(over) })
	e.router = startRouter(t, Options{
		DialTimeout: patience, HandshakeTimeout: patience, AwaitRecord: true,
		DialDone:     func(tunflow.Dial) { e.dials.Add(1) },
		FlowDone:     func(tunflow.Flow) { e.flows.Add(1) },
		BeforeAnswer: func(_ tunflow.Key, answer func()) { e.held <- answer },
	}, dial.Policy{})
	client, server := handPair(port)
	e.client = e.router.byHand(client, server, 1000)
	e.client.send(t, tuntest.SYN)
	e.server = within(t, accepted)
	return e
}

func (e *endingTest) conn() *conn {
	e.router.mu.Lock()
	defer e.router.mu.Unlock()
	return e.router.conns[connKey{client: e.client.client, server: e.client.server}]
}

// enter brings the connection into a phase, from synSent on.
func (e *endingTest) enter(t *testing.T, to phase) {
	t.Helper()
	c := e.conn()
	answer := within(t, e.held)
	if to >= synReceived {
		answer()
		e.client.awaitSYNACK(t)
	}
	if to >= acknowledged {
		e.client.send(t, tuntest.ACK)
		tuntest.Wait(t, "the client's ACK", func() bool { return c.phase.Load() == acknowledged })
	}
	if to >= established {
		e.router.Recorded(e.client.key(), 0, nil)
	}
	if to >= closing {
		e.client.send(t, tuntest.ACK|tuntest.FIN)
		if err := within(t, e.read); err != nil {
			t.Fatalf("server's read: %v", err)
		}
		_ = e.server.CloseWrite()
		e.client.await(t, tuntest.ACK|tuntest.FIN) // and does not acknowledge it
		tuntest.Wait(t, "the relay's end", func() bool { return c.phase.Load() == closing })
	}
	if got := c.phase.Load(); got != to {
		t.Fatalf("the connection is %s, want %s", phaseName(got), phaseName(to))
	}
}

// happen has an event happen.
func (e *endingTest) happen(t *testing.T, happens event) {
	t.Helper()
	switch happens {
	case clientSendsRST:
		e.client.send(t, tuntest.RST)
	case clientSendsFIN:
		e.client.send(t, tuntest.ACK|tuntest.FIN)
	case clientSendsSYN:
		e.client.again(5_000_000).send(t, tuntest.SYN)
	case serverSendsFIN:
		_ = e.server.CloseWrite()
	case serverSendsRST:
		_ = e.server.SetLinger(0)
		_ = e.server.Close()
	case timeIsOver:
		e.conn().endTime()
	case routerStops:
		e.conn().end(stopped)
	}
}

// endTime has the time of the connection's phase be over, as when its timer fires.
func (c *conn) endTime() {
	c.stack.mu.Lock()
	if c.handshake != nil {
		c.handshake.deadline, c.handshake.stood = time.Now(), math.MaxInt64
	}
	c.stack.mu.Unlock()
	c.expire()
}

// goesOn checks that an event has ended nothing.
func (e *endingTest) goesOn(t *testing.T, in phase) {
	t.Helper()
	c, other := e.conn(), *e.client
	other.client = netip.AddrPortFrom(clientV4, 4001)
	other.seq = other.isn
	other.send(t, tuntest.SYN) // is read behind the event
	within(t, e.held)
	if got := c.phase.Load(); got != in {
		t.Errorf("the connection is %s, want %s still", phaseName(got), phaseName(in))
	}
}

// ends checks that the ends and the caller see of a cause what the table says.
func (e *endingTest) ends(t *testing.T, in phase, why cause) {
	t.Helper()
	do := endings[in][why]
	if do&interrupt != 0 {
		do = endings[synReceived][noHandshake]
	}
	dials := int32(0)
	if in > synSent || do&report != 0 {
		dials = 1
	}
	if do&(resetServer|resetUnserved|dropSocket) != 0 && in != closing {
		if err := within(t, e.read); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server's read ends with %v, want a reset", err)
		}
	}
	if do&shutServer != 0 {
		if err := within(t, e.read); err != nil {
			t.Errorf("the server's read ends with %v, want a FIN", err)
		}
	}
	switch {
	case do&(resetClient|abortClient) != 0:
		e.client.await(t, tuntest.RST|tuntest.ACK)
	case do&shutClient != 0:
		e.client.await(t, tuntest.FIN|tuntest.ACK)
	}
	if do&(shutServer|shutClient) != 0 {
		if got := e.router.stats.TCPFlows.Load(); got != 1 {
			t.Errorf("%d connections, want one that is half closed", got)
		}
		return
	}
	if why == givenUp {
		within(t, e.held) // the client's next handshake
		dials = 0
	} else {
		tuntest.Wait(t, "no connection", func() bool { return e.router.stats.TCPFlows.Load() == 0 })
	}
	flows := int32(0)
	if in >= acknowledged {
		flows = 1
	}
	if got := e.dials.Load(); got != dials {
		t.Errorf("the app learned of %d dials, want %d", got, dials)
	}
	if got := e.flows.Load(); got != flows {
		t.Errorf("the app learned of %d connections that ended, want %d", got, flows)
	}
	if got := e.router.stats.HalfOpen.Load(); got != 0 {
		t.Errorf("%d half-open handshakes, want none", got)
	}
	if got, want := e.router.stats.Unrecorded.Load(), uint64(0); (do&count != 0) != (got != want) {
		t.Errorf("%d connections without a record", got)
	}
}
