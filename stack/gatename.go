//go:build linux

package stack

import (
	"bytes"
	"sync/atomic"

	"syntap/stack/inspect"
	"syntap/stack/peek"
	tunflow "syntap/tun/flow"
)

// nameCheck holds the first bytes of a client back until they say a name, or that they will not.
type nameCheck struct {
	strict   bool        // it holds for the connection; set before the relay begins
	waits    bool        // nothing has passed; the outbound direction's
	answered atomic.Bool // the far side has spoken
	asked    bool        // for an answer before its name: that says nothing of the protocol
}

// begin is for a connection that is about to be established. Where its name is not known, no other
// contradicts it.
func (t *nameCheck) begin(o *Options, opening any) {
	t.strict = o.Contradicts != nil && (o.Strict == nil || o.Strict(opening))
	t.waits = t.strict
}

// checkName looks for the name that a client's first bytes say, and reports whether they may pass.
// Nothing of them has passed; with all there will be no more.
//
// Bytes in which a server may read a name that is not found here do not pass, such as a request
// that says it behind inspect.MaxClient bytes or peek.MaxViews views. Of protocols in which the far
// side speaks first, neither TLS nor HTTP is one: its client does not wait.
func (c *conn) checkName(g *peek.Views, all bool) bool {
	b := g.Join(nil, g.Size, inspect.MaxClient)
	t := &c.gate.name
	if is, asks := inspect.IsPreface(b); is {
		t.asked = t.asked || asks
		c.gate.endWait()
		g.Cut(len(b)) // and look at the next ones
		return true
	}
	said := inspect.Strict(b)
	tooLong := said.Need > inspect.MaxClient || said.Need > 0 && g.Full()
	if said.Need > 0 && all && !tooLong { // the end of all bytes ends a line, too
		said = inspect.Strict(append(bytes.Clone(b), "\r\n\r\n"...))
	}
	switch unclear := said.Unclear || tooLong; {
	case (said.Need > 0 || unclear) && t.answered.Load() && !t.asked:
	case unclear, said.Need > 0 && (all || c.gate.late.Load()):
		c.forbid(nil)
		return false
	case said.Need > 0:
		c.awaitName(len(b))
		return false
	case c.contradicts(&said):
		c.forbid(c.first)
		return false
	}
	t.waits = false
	c.gate.endWait()
	return true
}

// contradicts reports whether a client has said another name than that of its connection, and keeps
// that for the flow.
func (c *conn) contradicts(said *inspect.Said) bool {
	f := tunflow.Flow{Key: c.name(), Opening: c.opening, Hello: said.Hello}
	for _, f.HTTPHost = range []string{said.Host, said.Field} {
		if c.stack.o.Contradicts(&f) {
			c.first = &peek.FirstBytes{Hello: f.Hello, Host: f.HTTPHost}
			return true
		}
	}
	return false
}

// forbid ends the connection for the name in the client's first bytes; nil stands for one that
// cannot be read.
func (c *conn) forbid(first *peek.FirstBytes) {
	if c.stack.o.Forbidden != nil {
		f := tunflow.Flow{Key: c.name(), Opening: c.opening}
		if first != nil {
			f.Hello, f.HTTPHost = first.Hello, first.Host
		}
		c.stack.o.Forbidden(f, c.upstream.remote)
	}
	c.end(forbidden)
}

// awaitName leaves n bytes in netstack until there are more, or the client has had its time. Where
// its buffers are tight, a ClientHello may need larger ones.
func (c *conn) awaitName(n int) {
	if c.tight.Load() && n >= peek.TightWrite {
		if c.loosen(); c.tight.Load() { // there is no room for more
			c.forbid(nil)
			return
		}
	}
	c.awaitMore()
}

// noteAnswer notes that the far side has spoken: bytes of the client may wait for it.
func (c *conn) noteAnswer() {
	if t := &c.gate.name; t.strict && !t.answered.Swap(true) {
		c.outbound.Wake()
	}
}
