//go:build linux

package nat

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

// flow is the datagrams between a client endpoint and one far end, as the client addresses it, or a
// DNS query and its response. flows.mu of its mapping guards it.
type flow struct {
	key     flowKey
	mapping *mapping
	opened  *tunflow.Datagram
	charge  int64 // memory

	admitted bool   // by Options.Opened
	recorded bool   // NAT.Recorded has been called
	passing  bool   // recorded, and no datagram is held
	ended    bool   // nothing changes any more
	held     []held // datagrams that go before those to come
	heldSize int    // bytes of them

	began, used time.Duration // first datagram, and last one or ICMP error, on the table's clock
	sent        time.Duration // last datagram of the client
	out, in     count
	outcome     tunflow.Outcome
	response    *tunflow.DNS // to a query

	// Of QUIC (quic.go).
	initials  *inspect.Initials // as long as the ClientHello is not whole; owned by the read loop
	helloRoom int64             // charge for them
	hello     *tunflow.Hello

	// Where its ClientHellos have to ask for its name (quicname.go).
	check   *helloCheck // nil = they need not
	naming  bool        // datagrams wait until one is whole
	denied  bool        // one has asked for another name: no datagram leaves any more
	cleared int         // the first of held, which may leave all the same; 0 without naming and denied

	place  *list.Element // in its flowSet
	awaits *list.Element // in recorder.waiting; recorder.mu guards it
}

type count struct{ packets, bytes uint64 }

func (c *count) add(packets, bytes int) {
	c.packets += uint64(packets)
	c.bytes += uint64(bytes)
}

// held is a datagram, or a GSO packet, that waits for the record of its flow.
type held struct {
	frame  gso.Frame
	target netip.AddrPort
	charge int64 // memory
}

// A flow holds at most maxHeld datagrams, and heldBytes bytes of packets. One frame always finds
// room.
const (
	maxHeld   = 64
	heldBytes = 64 << 10
)

// heldMemory is what a frame that is held is charged for, besides its bytes.
const heldMemory = 256

// flowMemory is what a flow is charged for, besides the names in a DNS query: itself, its Datagram
// and record, its places in maps and lists. Measured for 10,000 of them: 700 bytes of Go's heap
// without the record.
const flowMemory = 1 << 10

// memory returns what a flow is charged for.
func (l *flow) memory() int64 {
	n := flowMemory
	if d := l.opened.DNS; d != nil {
		for _, q := range d.Queries {
			n += len(q.Name)
		}
	}
	return int64(n)
}

// hold keeps a frame until the flow is on record. Where it cannot, it counts the frame. flows.mu is
// held.
func (l *flow) hold(f *gso.Frame, target netip.AddrPort) {
	m, size := l.mapping, f.Headers.Length
	datagrams := f.Datagrams()
	for i := range l.held {
		datagrams += l.held[i].frame.Datagrams()
	}
	if len(l.held) > 0 && (datagrams > maxHeld || l.heldSize+size > heldBytes) {
		f.Drop(&m.stats.DropUnrecorded)
		return
	}
	h := held{target: target}
	if full := m.take(&h.charge, int64(heldMemory+size)); full != nil {
		f.Drop(full)
		return
	}
	h.frame = f.Clone()
	l.held = append(l.held, h)
	l.heldSize += size
	if !l.recorded || l.naming {
		m.recorder.await(l)
	}
}

// next takes out the datagram that has been held longest, if it may leave. flows.mu is held.
func (l *flow) next() (h held, ok bool) {
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
// flows.mu is held.
func (l *flow) waiting() int {
	if l.naming || l.denied {
		return len(l.held) - l.cleared
	}
	return 0
}

// pass lets datagrams pass that come from now on, if none is held. flows.mu is held.
func (l *flow) pass() {
	l.passing = len(l.held) == 0 && !l.ended && !l.naming && !l.denied
}

// release notes that a datagram is held no more. flows.mu is held.
func (l *flow) release(h *held) {
	l.heldSize -= h.frame.Headers.Length
	l.mapping.give(&h.charge)
}

// dropHeld drops the datagrams that are held, but for the first few, and counts them. flows.mu is
// held.
func (l *flow) dropHeld(few int, counter *atomic.Uint64) {
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

// failed notes that the host has not sent the last packets and bytes that were counted. flows.mu is
// held.
func (l *flow) failed(packets, bytes int, errno syscall.Errno) {
	l.out.packets -= uint64(packets)
	l.out.bytes -= uint64(bytes)
	if isUnroutable(errno) {
		l.note(tunflow.NotReachable)
	}
}

// isUnroutable reports whether the host's routes are the reason of an error.
func isUnroutable(errno syscall.Errno) bool {
	return errno == unix.ENETUNREACH || errno == unix.EHOSTUNREACH || errno == unix.EACCES
}

// note sets the outcome; an answer outweighs errors. flows.mu is held.
func (l *flow) note(o tunflow.Outcome) {
	if l.outcome != tunflow.Answered {
		l.outcome = o
	}
}

// report returns the end of a flow that has ended.
func (l *flow) report() tunflow.Flow {
	d := l.opened
	return tunflow.Flow{
		Key:     tunflow.Key{Client: d.Client, Server: d.Server},
		Started: d.Time, Duration: max(0, l.used-l.began),
		Outbound: l.out.bytes, OutboundPackets: l.out.packets,
		Inbound: l.in.bytes, InboundPackets: l.in.packets,
		Datagram: d, Outcome: l.outcome, DNS: l.dns(), Hello: l.hello,
	}
}

// dns returns the queries of a DNS transaction and, if it came, the response.
func (l *flow) dns() *tunflow.DNS {
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
