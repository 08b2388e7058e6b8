//go:build linux

package stack

import (
	"syntap/stack/inspect"
	tunflow "syntap/tun/flow"
)

// firstBytes is what a client has said in its first bytes, or those bytes as long as they say
// nothing yet. The outbound direction owns it until the connection is closed.
type firstBytes struct {
	hello *tunflow.Hello
	host  string
	kept  []byte // charged
	need  int    // fewer bytes than that say nothing
}

// readFirstBytes looks at the n bytes of g that have just gone to the far side. It makes none wait,
// and keeps bytes only of a client whose next ones are needed.
func (c *conn) readFirstBytes(g *gather, n int) {
	f := c.first
	if f == nil {
		f = new(firstBytes)
	}
	b := g.join(f.kept, n, inspect.MaxClient)
	if len(b) < f.need {
		c.keepFirstBytes(f, b)
		return
	}
	if f.hello, f.host, f.need = inspect.Client(b); f.need > 0 {
		c.keepFirstBytes(f, b)
		return
	}
	c.endFirstBytes()
	if f.hello != nil || f.host != "" {
		c.first = f
	}
}

// keepFirstBytes keeps b, which begins with the bytes that f has kept. A client that has used up
// its memory is looked at no more.
func (c *conn) keepFirstBytes(f *firstBytes, b []byte) {
	before := cap(f.kept)
	f.kept = append(f.kept, b[len(f.kept):]...)
	c.first = f
	if c.payer.admit(int64(cap(f.kept)-before)) != nil {
		f.kept = f.kept[:0:before]
		c.endFirstBytes()
	}
}

// endFirstBytes looks at no more bytes of the client, and gives the memory of those kept back.
func (c *conn) endFirstBytes() {
	c.listens = false
	if f := c.first; f != nil {
		c.payer.charge(-int64(cap(f.kept)))
		f.kept = nil
	}
}
