//go:build linux

package stack

import (
	"io"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/clientpath"
	"syntap/stack/dial"
	"syntap/stack/gate"
	"syntap/stack/inspect"
	"syntap/stack/netstack"
	"syntap/stack/peek"
	"syntap/stack/probe"
	"syntap/stack/sched"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// conn is one TCP connection of a client from its SYN on: a handshake with each end, then a relay
// between a netstack endpoint and a host socket.
//
//	SYN ──▶ synSent ── the far side accepts ──▶ synReceived ── the client's ACK ──▶ acknowledged
//	           │                                    │                                    │
//	           │ RST, ICMP, no answer               │ RST, no ACK          the record is written,
//	           ▼                                    │                        or its time is over
//	        closed ◀────────────────────────────────╯                                    │
//	           ▲                                                                         ▼
//	           ╰── netstack has closed ── closing ◀── both directions are done ── established
//
// A client that resets right behind its ACK takes the way from synReceived to lost, where its
// record is awaited, to closed.
//
// The phases of the handshakes have the names of RFC 9293 §3.3.2, as connection tracking has them
// for the client. The table endings (end.go) lists the causes that end each phase.
//
// Its fields are in an order without holes: up to 760 bytes take 768 from the heap, more take 896.
type conn struct {
	watch   sched.Watch
	stack   *Stack
	key     connKey
	started time.Time
	isn     uint32         // of the client's SYN
	phase   atomic.Uint32  // written with stack.mu held
	isLocal bool           // the client is a program of this host
	lease   netstack.Lease // of its addresses

	// Guarded by stack.mu, up to wq.
	dscp      byte            // of the client's segments, and the host socket's
	noDF      bool            // of the host socket, by ClearDF
	serverISN uint32          // of the SYN-ACK, once recorded
	handshake *handshake      // nil once established
	next      *nextSYN        // nil = none
	unhold    func()          // releases the name that the server's address stands for; nil = none
	opening   tunflow.Opening // once recorded
	fd        int             // host socket, -1 = none; constant from established to closing
	upstream  connKey         // its addresses
	mss       packet.MSS      // set on it, 0 = the kernel's

	wq    waiter.Queue
	ep    tcpip.Endpoint // of the client's leg, from acknowledged on
	entry waiter.Entry

	outbound, inbound direction
	directions        atomic.Int32 // not yet done

	seen    signals
	firstly atomic.Uint32 // a tunflow.End: the event that began the end
	moved   atomic.Uint32 // movedForSweep and movedForStall: a byte has crossed since then
	lasted  time.Duration // until both directions were done; written before the phase closing

	sweep  swept
	prober probe.Prober // of the far side; Ask, Withhold and End are called with stack.mu held
	// far is nil where the numbers of the far side are not known. What it points to is guarded by
	// stack.mu.
	far  atomic.Pointer[farSide]
	gate gate.Gate // set as it is dialled
	dns  *peek.DNS // nil = no port of DNS
	// resent is nil for nothing. It is written with netstack's lock of the endpoint held.
	resent atomic.Pointer[clientpath.Segment]

	// The outbound direction's.
	first *peek.FirstBytes // nil = the client's first bytes have said nothing

	answer atomic.Uint64 // bytes of the first answer, if it is of HTTP and says so; 0 = unknown

	// The inbound direction's.
	unsent []byte         // read, and not yet taken by netstack
	buffer *[maxRead]byte // that unsent stands in, if it is kept

	memory holding
}

// connKey identifies a TCP connection by its ends: a client's connection, or that of a host socket,
// whose client is this host.
type connKey struct{ client, server netip.AddrPort }

// name returns the key of the handshake that the client began with isn.
func (k connKey) name(isn uint32) tunflow.Key {
	return tunflow.Key{Client: k.client, Server: k.server, ISN: isn}
}

func (c *conn) name() tunflow.Key { return c.key.name(c.isn) }

// phase is a part of a connection's life.
type phase = uint32

const (
	synSent      phase = iota // the client's SYN waits for the far side
	synReceived               // netstack has the SYN, and waits for the client's ACK
	acknowledged              // both ends have opened; the handshake's record is missing
	established               // payload is relayed
	closing                   // the host socket is closed, netstack's endpoint not yet
	lost                      // the client has completed the handshake and reset; the record is missing
	closed
	phases
)

// signals are events of an established connection. Any goroutine may set them.
type signals struct{ bits atomic.Uint32 }

const (
	hangup      uint32 = 1 << iota // the host socket has ended or failed: a read tells which
	urgent                         // a read ends before urgent data of the far side
	clientShut                     // a FIN has gone to the client
	serverShut                     // the client's FIN has gone to the far side, behind all its bytes
	clientReset                    // the client is to be reset: both directions end
	serverReset                    // the far side is to be reset: the inbound direction ends
	looped                         // EPOLLERR alone means a packet that was looped back (farseq)
	clientLong                     // a packet of the client above 1280 bytes has come; unknown of a local one
	clientAsked                    // the client has been asked how far it has sent
	clientHeld                     // bytes of the client wait in netstack for more (gate)
)

func (s *signals) set(bits uint32)      { s.bits.Or(bits) }
func (s *signals) clear(bits uint32)    { s.bits.And(^bits) }
func (s *signals) has(bits uint32) bool { return s.bits.Load()&bits != 0 }

// newConn returns a connection that is about to be dialled.
func newConn(s *Stack, key connKey, isn uint32, syn []byte) *conn {
	c := &conn{
		stack: s, key: key, isn: isn, fd: -1, started: time.Now(),
		handshake: &handshake{syn: syn, dialling: true},
	}
	c.outbound.init(c)
	c.inbound.init(c)
	c.directions.Store(2)
	c.outbound.listens = s.o.FlowDone != nil
	if key.server.Port() == inspect.PortDNS && (c.outbound.listens || s.o.DNSAnswered != nil) {
		c.dns = new(peek.DNS)
	}
	return c
}

// streamEvents are the events of a host socket that concern a connection.
const streamEvents = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP

// Ready implements sched.Watcher: the host socket has events.
func (c *conn) Ready(events uint32) {
	const ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if c.seen.has(looped) && events&(unix.EPOLLRDHUP|unix.EPOLLHUP) == 0 {
		events &^= unix.EPOLLERR
	}
	if events&ended != 0 {
		c.seen.set(hangup)
	}
	if events&unix.EPOLLPRI != 0 {
		c.seen.set(urgent)
	}
	switch c.phase.Load() {
	case synSent:
		if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			c.beforeAnswer(c.connected)
		}
	case established: // earlier events may be ignored: each direction checks when it begins
		if events&(unix.EPOLLIN|ended) != 0 {
			c.inbound.WakeInline()
		}
		if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			c.outbound.WakeInline()
		}
	}
}

// NotifyEvent implements waiter.EventListener: netstack's endpoint has events. Netstack holds its
// locks.
func (c *conn) NotifyEvent(mask waiter.EventMask) {
	const failed = waiter.EventHUp | waiter.EventErr
	switch c.phase.Load() {
	case established:
		if mask&(waiter.ReadableEvents|failed) != 0 {
			c.outbound.Wake()
		}
		if mask&(waiter.WritableEvents|failed) != 0 {
			c.inbound.Wake()
		}
	case closing:
		c.endIfClosed()
	}
}

// join gives the connection its leg to the client, before the phase acknowledged.
func (c *conn) join(ep tcpip.Endpoint) {
	c.ep = ep
	c.inbound.setBuffer(c.inbound.smallBuffer()) // else netstack lets it grow by itself
	k := c.stack.keepalive()                     // netstack probes the client, as the kernel does the far side
	netstack.SetKeepalive(ep, k.Idle, k.Interval, k.Probes)
	netstack.SetOwner(ep, c)
	c.entry.Init(c, waiter.ReadableEvents|waiter.WritableEvents|waiter.EventHUp|waiter.EventErr)
	c.wq.EventRegister(&c.entry)
}

// keepalive returns that of connections to clients.
func (s *Stack) keepalive() dial.Keepalive {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.o.Keepalive.OrDefault()
}

// relayed returns the established connections, in the memory given, which it reuses.
func (s *Stack) relayed(memory []*conn) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Grow(memory[:0], len(s.conns))
	for _, c := range s.conns {
		if c.phase.Load() == established {
			all = append(all, c)
		}
	}
	return all
}

// relayedByAll returns the connections of all shards that are established.
func (s *Stack) relayedByAll() (all []*conn) {
	for _, s := range s.shards {
		all = append(all, s.relayed(nil)...)
	}
	return all
}

// lastDirection reports whether the other direction is done.
func (c *conn) lastDirection() bool { return c.directions.Load() == 1 }

// clientGone reports whether the connection to the client has failed. As long as we have sent no
// FIN it cannot have closed in order; a RST in CLOSE-WAIT shows as closed too.
func (c *conn) clientGone() bool {
	switch tcp.EndpointState(c.ep.State()) {
	case tcp.StateError:
		return true
	case tcp.StateClose:
		return !c.seen.has(clientShut)
	}
	return false
}

// discard consumes n bytes of netstack's receive queue.
func (c *conn) discard(n int) {
	d := tcpip.LimitedWriter{W: io.Discard, N: int64(n)}
	_, _ = c.ep.Read(&d, tcpip.ReadOptions{})
}
