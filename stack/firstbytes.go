//go:build linux

package stack

import (
	"syntap/stack/inspect"
	tunflow "syntap/tun/flow"
)

// firstBytes has the result of a client's first bytes, or those bytes as long as there is none. The
// outbound direction owns it until the connection is closed.
type firstBytes struct {
	hello *tunflow.Hello
	host  string
	kept  []byte // charged
	need  int    // fewer bytes than that say nothing
}

// readFirstBytes looks at the n bytes of g that have just gone to the far side. It makes none wait,
// and keeps bytes only of a client whose next ones are needed.
func (c *conn) readFirstBytes(g *gather, n int) {
	var f firstBytes
	if c.first != nil {
		f = *c.first
	}
	b := g.view(0, n)
	if f.kept == nil {
		f.hello, f.host, f.need = inspect.Client(b) // of most protocols the first byte is enough
	}
	if f.kept != nil || f.need > 0 && len(b) < n {
		if b = g.join(f.kept, n, inspect.MaxClient); len(b) >= f.need {
			f.hello, f.host, f.need = inspect.Client(b)
		}
	}
	if f.need > 0 {
		c.keepFirstBytes(f, b)
		return
	}
	c.endFirstBytes()
	if c.first = nil; f.hello != nil || f.host != "" {
		c.first = &firstBytes{hello: f.hello, host: f.host}
	}
}

// keepFirstBytes keeps b, which begins with the bytes that f has kept. A client that has used up
// its memory is looked at no more.
func (c *conn) keepFirstBytes(f firstBytes, b []byte) {
	if c.first == nil {
		c.first = new(firstBytes)
	}
	before := cap(f.kept)
	f.kept = append(f.kept, b[len(f.kept):]...)
	if c.payer.Admit(int64(cap(f.kept)-before)) != nil {
		c.endFirstBytes()
		return
	}
	*c.first = f
}

// endFirstBytes looks at no more bytes of the client, and gives the memory of those kept back.
func (c *conn) endFirstBytes() {
	c.listens = false
	if f := c.first; f != nil {
		c.payer.Charge(-int64(cap(f.kept)))
		f.kept = nil
	}
}
