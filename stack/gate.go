//go:build linux

package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/egress"
	"syntap/stack/gate"
	"syntap/stack/inspect"
	"syntap/stack/netstack"
	"syntap/stack/peek"
	tunflow "syntap/tun/flow"
)

// beginGate sets up the gate for the decision on a connection, before its dial.
func (c *conn) beginGate(r *egress.Ruling, d *tunflow.Decision) {
	c.gate.Queries = nil
	if c.key.server.Port() == inspect.PortDNS && c.stack.o.Question != nil &&
		(d.OnlyDNS || r != nil && r.Names) {
		c.gate.Queries = new(gate.Queries)
	}
}

// holdNames makes the first bytes of a connection wait until they say a name, if the connection's
// own name is known: only then can another contradict it.
func (c *conn) holdNames() {
	o := &c.stack.o
	if o.Contradicts != nil && (o.Strict == nil || o.Strict(c.opening)) {
		c.gate.HoldNames()
	}
}

// passGate shortens g to the bytes that may pass, and reports whether there are any. Otherwise the
// connection has been reset, or waits for more bytes. all means that g has all bytes of the client.
func (c *conn) passGate(g *peek.Views, all bool) bool {
	verdict, query, size := c.gate.Pass(g, all, c)
	if verdict != gate.Wait && c.seen.has(clientHeld) {
		c.seen.clear(clientHeld)
	}
	switch verdict {
	case gate.Pass:
		return true
	case gate.Wait:
		c.awaitMore(g.Size)
	case gate.Forbid:
		c.end(forbidden)
	case gate.Contradicted:
		c.forbid(c.first)
	case gate.Unclear:
		c.forbid(nil)
	case gate.Full: // takeBlocked makes room, as long as the client reads
		if c.lastDirection() || c.clientGone() {
			c.end(forbidden)
		}
	case gate.Answered:
		c.dns.NoteQuery(query)
		c.discard(size)
		c.inbound.Wake()
		c.outbound.Wake() // to look at the next
	}
	return false
}

// hasAll reports whether netstack has all bytes of the client and its FIN. It must be called before
// the peek that it is about.
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

// awaitMore leaves n bytes in netstack until more arrive or the client's time is over. If its
// buffers are tight, they are enlarged before they are full, because a ClientHello, or a head in
// many segments, may need that.
func (c *conn) awaitMore(n int) {
	c.memory.sizing.Lock() // tighten looks with it held
	c.seen.set(clientHeld)
	tight := c.memory.tight.Load()
	c.memory.sizing.Unlock()
	if tight && (n >= peek.TightWrite || netstack.ReceiveMemory(c.ep) > tightReceiveBuffer/2) {
		if c.loosen(); c.memory.tight.Load() && n >= peek.TightWrite { // there is no room for more
			c.forbid(nil)
			return
		}
	}
	c.gate.Await(c.stack.o.gateWithin, c.outbound.Wake)
}

// Contradicts implements gate.Policy. It keeps a contradicting name for the flow.
func (c *conn) Contradicts(said *inspect.Said) bool {
	f := tunflow.Flow{Key: c.name(), Opening: c.opening, Hello: said.Hello}
	for _, f.HTTPHost = range []string{said.Host, said.Field} {
		if c.stack.o.Contradicts(&f) {
			c.first = &peek.FirstBytes{Hello: f.Hello, Host: f.HTTPHost}
			return true
		}
	}
	return false
}

// forbid ends the connection because of the name in the client's first bytes; nil means an
// unreadable one.
func (c *conn) forbid(first *peek.FirstBytes) {
	if c.stack.o.Forbidden != nil {
		f := tunflow.Flow{Key: c.name(), Opening: c.opening}
		if first != nil {
			f.Hello, f.HTTPHost = first.Hello, first.Host
		}
		c.stack.o.Forbidden(f, c.upstream.server)
	}
	c.end(forbidden)
}

// Denies implements gate.Policy.
func (c *conn) Denies(query *tunflow.DNS) bool {
	d := c.stack.o.Question(tunflow.TCP, c.key.client, c.key.server, c.opening, query)
	return d.Deny
}

// takeBlocked queues the router's next own response to be written, and reports whether there is
// one.
func (c *conn) takeBlocked() bool {
	if c.gate.Queries == nil {
		return false
	}
	b := c.gate.Queries.Next()
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
