//go:build linux

package flows

import (
	"syntap/stack/inspect"
	"syntap/stack/nat/gso"
)

// ReadQUIC looks for QUIC in the frame that begins a flow, and stores it in the flow's Datagram.
// room is memory for a datagram.
func (l *Flow) ReadQUIC(f *gso.Frame, room *[]byte) {
	q, initials := inspect.QUIC(f.Datagram(0, room))
	l.opened.QUIC, l.initials = q, initials
	switch {
	case initials != nil:
		l.readInitials(f, 1, room)
		q.Hello = l.hello
	case q != nil:
		l.hello = q.Hello
	}
}

// ReadInitials looks for the rest of a flow's ClientHello in the datagrams of a frame, if it is not
// whole. room is memory for a datagram. The read loop calls it.
func (l *Flow) ReadInitials(f *gso.Frame, room *[]byte) {
	if l.initials != nil {
		l.readInitials(f, 0, room)
	}
}

// readInitials looks for the rest of a flow's ClientHello in the datagrams of a frame, but for the
// first few. The known parts are charged until it is complete; without memory for them, the flow's
// record has none.
func (l *Flow) readInitials(f *gso.Frame, few int, room *[]byte) {
	hello := l.hello
	for i := few; i < f.Datagrams() && l.initials != nil; i++ {
		var more bool
		if hello, more = l.initials.Add(f.Datagram(i, room)); !more {
			l.initials = nil
		}
	}
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.ended {
		l.initials = nil
		return
	}
	l.hello = hello
	s.give(&l.helloRoom)
	if l.initials == nil {
		return
	}
	if s.take(&l.helloRoom, int64(l.initials.Size())) != nil {
		l.initials = nil
	}
}
