//go:build linux

package peek

import (
	"syntap/stack/budget"
	"syntap/stack/inspect"
	tunflow "syntap/tun/flow"
)

// FirstBytes has the result of reading a client's first bytes, or the bytes while there is none. A
// nil FirstBytes is empty.
type FirstBytes struct {
	Hello *tunflow.Hello
	Host  string // of HTTP
	kept  []byte // charged
	need  int    // fewer bytes than that say nothing
}

// Read reads the next n bytes of g, and returns the new state. It keeps bytes only if it needs
// more, which more reports.
func (f *FirstBytes) Read(g *Views, n int, p *budget.Payer) (now *FirstBytes, more bool) {
	var next FirstBytes
	if f != nil {
		next = *f
	}
	b := g.View(0, n)
	if next.kept == nil {
		// Of most protocols the first byte is enough.
		next.Hello, next.Host, next.need = inspect.Client(b)
	}
	if next.kept != nil || next.need > 0 && len(b) < n {
		if b = g.Join(next.kept, n, inspect.MaxClient); len(b) >= next.need {
			next.Hello, next.Host, next.need = inspect.Client(b)
		}
	}
	if next.need > 0 {
		return f.keep(next, b, p)
	}
	f.End(p)
	if next.Hello == nil && next.Host == "" {
		return nil, false
	}
	return &FirstBytes{Hello: next.Hello, Host: next.Host}, false
}

// keep keeps b, which begins with the bytes that f has kept. Without memory for it, reading stops.
func (f *FirstBytes) keep(next FirstBytes, b []byte, p *budget.Payer) (now *FirstBytes, more bool) {
	if f == nil {
		f = new(FirstBytes)
	}
	before := cap(next.kept)
	next.kept = append(next.kept, b[len(next.kept):]...)
	if p.Admit(int64(cap(next.kept)-before)) != nil {
		f.End(p)
		return f, false
	}
	*f = next
	return f, true
}

// End stops reading, and releases the memory of kept bytes.
func (f *FirstBytes) End(p *budget.Payer) {
	if f != nil {
		p.Charge(-int64(cap(f.kept)))
		f.kept = nil
	}
}
