//go:build linux

package stack

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/egress"
	"syntap/stack/inspect"
	"syntap/stack/peek"
	"syntap/stack/resolver"
	tunflow "syntap/tun/flow"
)

// maxGatedQuery is the length in bytes of the longest DNS query that policy lets pass over TCP. It
// fits the smallest receive buffer, and any name with EDNS options and padding (RFC 8467 §4.1).
const maxGatedQuery = 768

// gate holds bytes of a client back in netstack until policy has seen enough of them. The outbound
// direction owns it.
type gate struct {
	queries bool // only DNS queries pass, each decided on by its names
	cleared int  // bytes at the front of netstack's queue that may pass
	name    nameCheck
	timer   *time.Timer // nil = no byte waits for more
	late    atomic.Bool // its time is over
}

// gateWithin is how long the beginning of a query, or of what may say a name, waits for more.
// Servers give a request about as long.
const gateWithin = 30 * time.Second

// beginGate sets the gate by the decision on a connection that is about to be dialled.
func (c *conn) beginGate(r *egress.Ruling, d *tunflow.Decision) {
	c.gate.queries = c.key.server.Port() == inspect.PortDNS && c.stack.o.Question != nil &&
		(d.OnlyDNS || r != nil && r.Names)
	if c.gate.queries {
		c.blocked = new(blocked)
	}
}

// awaitMore bounds the time in which more bytes have to come.
func (c *conn) awaitMore() {
	t := &c.gate
	if t.timer == nil {
		t.timer = time.AfterFunc(c.stack.o.gateWithin, func() {
			t.late.Store(true)
			c.outbound.Wake()
		})
	}
}

// endWait is for bytes that wait no more.
func (t *gate) endWait() {
	if t.timer != nil && t.timer.Stop() {
		t.timer = nil
	}
}

// open reports whether all is decided.
func (t *gate) open() bool { return !t.name.waits && !t.queries }

// passGate shortens g to the bytes that may pass, and reports whether there are any. Otherwise the
// connection has been reset, or waits for more, which will not come if g has all of the client's.
func (c *conn) passGate(g *peek.Views, all bool) bool {
	if c.gate.name.waits && !c.checkName(g, all) {
		return false
	}
	if !c.gate.queries {
		return true
	}
	if c.gate.cleared == 0 && !c.checkQuery(g, all) {
		return false
	}
	g.Cut(c.gate.cleared)
	return true
}

// hasAll reports whether netstack has all bytes of the client, and its FIN. To be true of a peek it
// is asked before.
func (c *conn) hasAll() bool {
	if c.ep.Readiness(waiter.ReadableEvents)&waiter.EventRdHUp != 0 {
		return true // its state may be about to change
	}
	switch tcp.EndpointState(c.ep.State()) {
	case tcp.StateEstablished, tcp.StateFinWait1, tcp.StateFinWait2:
		return false
	}
	return true
}

// checkQuery looks at the DNS message at the front of the queue.
func (c *conn) checkQuery(g *peek.Views, all bool) bool {
	const prefix = 2
	b := g.Join(nil, g.Size, prefix+maxGatedQuery)
	size := 0
	if len(b) >= prefix {
		size = int(binary.BigEndian.Uint16(b))
	}
	incomplete := len(b) < prefix || len(b) < prefix+size
	if size > maxGatedQuery || incomplete && (all || g.Full() || c.gate.late.Load()) {
		c.end(forbidden)
		return false
	}
	if incomplete {
		c.awaitMore()
		return false
	}
	c.gate.endWait()
	m, ok := inspect.DNS(b[prefix : prefix+size])
	if !ok || m.Response {
		c.end(forbidden)
		return false
	}
	if !c.stack.o.Question(tunflow.TCP, c.key.client, c.key.server, c.opening, m).Deny {
		c.gate.cleared = prefix + size
		return true
	}
	response := resolver.Blocked(b[prefix : prefix+size])
	if response == nil {
		c.end(forbidden)
		return false
	}
	if !c.blocked.add(response) { // takeBlocked makes room, as long as the client reads
		if c.lastDirection() || c.clientGone() {
			c.end(forbidden)
		}
		return false
	}
	c.dns.NoteQuery(m)
	c.discard(prefix + size)
	c.inbound.Wake()
	c.outbound.Wake() // to look at the next
	return false
}

// blocked has the responses to queries that policy forbids, until the inbound direction can write
// them between those of the server.
type blocked struct {
	mu      sync.Mutex
	waiting [][]byte // behind their lengths

	// Of the server's stream, owned by the inbound direction.
	prefix []byte // bytes of a length that has not come whole
	rest   int    // bytes still to come of a message
}

// maxBlocked is how many may wait. Queries beyond stay in netstack until the client reads.
const maxBlocked = 8

// add enters a response, and reports whether there was room.
func (b *blocked) add(response []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == maxBlocked {
		return false
	}
	length := binary.BigEndian.AppendUint16(nil, uint16(len(response)))
	b.waiting = append(b.waiting, append(length, response...))
	return true
}

// next returns the next response if it may be written now, else nil.
func (b *blocked) next() []byte {
	if b.rest > 0 || len(b.prefix) > 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return nil
	}
	first := b.waiting[0]
	b.waiting = b.waiting[1:]
	return first
}

// follow notes bytes of the server.
func (b *blocked) follow(data []byte) {
	for len(data) > 0 {
		if b.rest > 0 {
			n := min(b.rest, len(data))
			b.rest, data = b.rest-n, data[n:]
			continue
		}
		b.prefix, data = append(b.prefix, data[0]), data[1:]
		if len(b.prefix) == 2 {
			b.rest, b.prefix = int(binary.BigEndian.Uint16(b.prefix)), nil
		}
	}
}

// takeBlocked has the next response of the router's own be written, and reports whether there is
// one.
func (c *conn) takeBlocked() bool {
	if c.blocked == nil {
		return false
	}
	b := c.blocked.next()
	if b == nil {
		return false
	}
	if m, ok := inspect.DNS(b[2:]); ok {
		c.dns.NoteResponse(m)
	}
	c.unsent = b
	c.outbound.Wake() // it may wait for room
	return true
}
