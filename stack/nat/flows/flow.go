//go:build linux

package flows

import (
	"container/list"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/inspect"
	"syntap/stack/nat/gso"
	tunflow "syntap/tun/flow"
)

// Key identifies a flow of a mapping.
type Key struct {
	Server netip.AddrPort // of an echo, with a port of zero

	Query    bool // of DNS
	ID       uint16
	Question tunflow.Question
}

// Flow is the datagrams between a client endpoint and one far end, as the client addresses it, or a
// DNS query and its response. Set.mu guards it.
type Flow struct {
	key    Key
	set    *Set
	opened *tunflow.Datagram
	charge int64 // memory

	admitted bool   // by Options.Opened
	recorded bool   // Recorder.Recorded has been called
	passing  bool   // recorded, and no datagram is held
	ended    bool   // it does not change any more
	held     []held // datagrams that go before those to come
	heldSize int    // bytes of them

	began, used time.Duration // first datagram, and last one or ICMP error, on the table's clock
	sent        time.Duration // last datagram of the client
	outcome     tunflow.Outcome
	response    *tunflow.DNS // to a query

	// Datagrams that have crossed, and their payload.
	outPackets, outBytes, inPackets, inBytes uint64

	// Of QUIC (quic.go).
	initials  *inspect.Initials // as long as the ClientHello is not whole; owned by the read loop
	helloRoom int64             // charge for them
	hello     *tunflow.Hello

	// Where its ClientHellos have to ask for its name (hello.go).
	check     *inspect.Initials // nil = they need not; owned by the read loop
	checkRoom int64             // charge for them
	naming    bool              // datagrams wait until one is whole
	denied    bool              // one has asked for another name: no datagram leaves any more
	cleared   int               // the first of held, which may leave all the same

	place  *list.Element // in its queue
	awaits *list.Element // in Recorder.waiting, since a time on the clock; Recorder.mu guards both
	since  time.Duration
}

// held is a datagram, or a GSO packet, that waits for the record of its flow.
type held struct {
	frame  gso.Frame
	target netip.AddrPort
	charge int64 // memory
}

// A flow holds at most MaxHeld datagrams, and HeldBytes bytes of packets. One frame always finds
// room.
const (
	MaxHeld   = 64
	HeldBytes = 64 << 10
)

// HeldMemory is the charge for a held frame besides its bytes.
const HeldMemory = 256

// FlowMemory is the charge for a flow besides the names in a DNS query: itself, its Datagram and
// record, its places in maps and lists. Measured for 10,000 of them: 700 bytes of Go's heap without
// the record.
const FlowMemory = 1 << 10

// take charges the client of a mapping for n bytes, or returns the counter of the limit that is
// reached.
func (s *Set) take(charge *int64, n int64) (full *atomic.Uint64) {
	if full = s.mapping.TakeMemory(n); full == nil {
		*charge = n
	}
	return full
}

// give ends a charge.
func (s *Set) give(charge *int64) {
	if n := *charge; n > 0 {
		*charge = 0
		s.mapping.GiveMemory(n)
	}
}

// Opened returns the datagram by which the flow has begun.
func (l *Flow) Opened() *tunflow.Datagram { return l.opened }

// memory returns the charge for a flow.
func (l *Flow) memory() int64 {
	n := FlowMemory
	if d := l.opened.DNS; d != nil {
		for _, q := range d.Queries {
			n += len(q.Name)
		}
	}
	return int64(n)
}

// next removes and returns the datagram that has been held longest, if it may leave. Set.mu is
// held.
func (l *Flow) next() (h held, ok bool) {
	if len(l.held) == l.waiting() {
		return h, false
	}
	h = l.held[0]
	l.held[0] = held{}
	l.held = l.held[1:]
	l.cleared = max(0, l.cleared-1)
	l.release(&h)
	return h, true
}

// waiting returns how many of the datagrams that are held wait for the rest of a ClientHello.
// Set.mu is held.
func (l *Flow) waiting() int {
	if l.naming || l.denied {
		return len(l.held) - l.cleared
	}
	return 0
}

// pass lets datagrams pass that come from now on, if none is held. Set.mu is held.
func (l *Flow) pass() {
	l.passing = len(l.held) == 0 && !l.ended && !l.naming && !l.denied
}

// release notes that a datagram is held no more. Set.mu is held.
func (l *Flow) release(h *held) {
	l.heldSize -= h.frame.Headers.Length
	l.set.give(&h.charge)
}

// dropHeld drops the held datagrams except the first few, and counts them. Set.mu is held.
func (l *Flow) dropHeld(few int, counter *atomic.Uint64) {
	for i := few; i < len(l.held); i++ {
		l.held[i].frame.Drop(counter)
		l.release(&l.held[i])
		l.held[i] = held{}
	}
	l.cleared = min(l.cleared, few)
	if l.held = l.held[:min(few, len(l.held))]; len(l.held) == 0 {
		l.held = nil
	}
}

// failed notes that the host has not sent the last packets and bytes that were counted. Set.mu is
// held.
func (l *Flow) failed(packets, bytes int, errno syscall.Errno) {
	l.outPackets -= uint64(packets)
	l.outBytes -= uint64(bytes)
	if IsUnroutable(errno) {
		l.note(tunflow.NotReachable)
	}
}

// Failed notes that the host has not sent packets and bytes of a flow.
func (s *Set) Failed(l *Flow, packets, bytes int, errno syscall.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.ended {
		l.failed(packets, bytes, errno)
	}
}

// IsUnroutable reports whether the host's routes are the reason of an error.
func IsUnroutable(errno syscall.Errno) bool {
	return errno == unix.ENETUNREACH || errno == unix.EHOSTUNREACH || errno == unix.EACCES
}

// note sets the outcome; an answer outweighs errors. Set.mu is held.
func (l *Flow) note(o tunflow.Outcome) {
	if l.outcome != tunflow.Answered {
		l.outcome = o
	}
}

// report returns the end of a flow that has ended.
func (l *Flow) report() tunflow.Flow {
	d := l.opened
	return tunflow.Flow{
		Key:     tunflow.Key{Client: d.Client, Server: d.Server},
		Started: d.Time, Duration: max(0, l.used-l.began),
		Outbound: l.outBytes, OutboundPackets: l.outPackets,
		Inbound: l.inBytes, InboundPackets: l.inPackets,
		Datagram: d, Outcome: l.outcome, DNS: l.dns(), Hello: l.hello,
	}
}

// dns returns the queries of a DNS transaction and, if it came, the response.
func (l *Flow) dns() *tunflow.DNS {
	switch {
	case l.response == nil:
		return l.opened.DNS
	case len(l.response.Queries) > 0:
		return l.response
	}
	all := *l.response
	all.Queries = l.opened.DNS.Queries
	return &all
}
