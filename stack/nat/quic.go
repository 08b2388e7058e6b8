//go:build linux

package nat

import (
	"syntap/stack/inspect"
	"syntap/stack/nat/gso"
)

// readQUIC looks for QUIC in the frame that begins a flow, and enters it in the flow's Datagram.
func (n *NAT) readQUIC(l *flow, f *gso.Frame) {
	q, initials := inspect.QUIC(f.Datagram(0, &n.message))
	l.opened.QUIC, l.initials = q, initials
	switch {
	case initials != nil:
		n.readInitials(l, f, 1)
		q.Hello = l.hello
	case q != nil:
		l.hello = q.Hello
	}
}

// readInitials looks for the rest of a flow's ClientHello in the datagrams of a frame, but for the
// first few. What is known of it is charged until it is whole; where there is no memory, the flow
// goes without.
func (n *NAT) readInitials(l *flow, f *gso.Frame, few int) {
	hello := l.hello
	for i := few; i < f.Datagrams() && l.initials != nil; i++ {
		var more bool
		if hello, more = l.initials.Add(f.Datagram(i, &n.message)); !more {
			l.initials = nil
		}
	}
	m := l.mapping
	m.flows.mu.Lock()
	defer m.flows.mu.Unlock()
	if l.ended {
		l.initials = nil
		return
	}
	l.hello = hello
	m.give(&l.helloRoom)
	if l.initials == nil {
		return
	}
	if m.take(&l.helloRoom, int64(l.initials.Size())) != nil {
		l.initials = nil
	}
}
