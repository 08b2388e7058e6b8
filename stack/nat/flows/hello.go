//go:build linux

package flows

import (
	"syntap/stack/inspect"
	"syntap/stack/nat/gso"
	tunflow "syntap/tun/flow"
)

// beginCheck starts the check of an admitted flow's ClientHellos, if they must all ask for the
// flow's name.
func (l *Flow) beginCheck() {
	o := &l.set.recorder.o
	if o.Contradicts == nil || l.key.Query || l.opened.Proto != tunflow.UDP ||
		o.Strict != nil && !o.Strict(l.opened.Opening) {
		return
	}
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	l.check = new(inspect.Initials)
}

// CheckName looks for ClientHellos in a frame of a flow before it is carried. While one is
// incomplete the datagrams of the flow wait; one that asks for another name denies the flow. room
// is memory for a datagram.
func (l *Flow) CheckName(f *gso.Frame, room *[]byte) {
	for i := range f.Datagrams() {
		d := f.Datagram(i, room)
		has, readable := inspect.HasInitial(d)
		if !has {
			continue
		}
		hello, deny, wait := (*tunflow.Hello)(nil), true, false
		if readable {
			hello, deny, wait = l.checkHello(d)
		}
		denied := l.set.setNaming(l, wait, deny)
		if o := &l.set.recorder.o; denied && o.Forbidden != nil {
			o.Forbidden(l.saying(hello), l.opened.Upstream)
		}
		if deny {
			return
		}
	}
}

// checkHello looks for a ClientHello in a datagram of a flow that has Initial packets. It returns
// the hello where that denies the flow.
func (l *Flow) checkHello(datagram []byte) (hello *tunflow.Hello, deny, wait bool) {
	hello, wait, ok := l.check.Follow(datagram)
	if !ok {
		return nil, true, false
	}
	f := l.saying(hello)
	if hello == nil || !l.set.recorder.o.Contradicts(&f) {
		return nil, false, wait
	}
	return hello, true, wait
}

// saying returns the flow with the hello of its client.
func (l *Flow) saying(hello *tunflow.Hello) tunflow.Flow {
	d := l.opened
	key := tunflow.Key{Client: d.Client, Server: d.Server}
	return tunflow.Flow{Key: key, Datagram: d, Opening: d.Opening, Hello: hello}
}

// setNaming notes whether datagrams of a flow wait for the rest of a ClientHello, or none may leave
// any more. It reports whether that is new.
func (s *Set) setNaming(l *Flow, wait, deny bool) (denied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.ended {
		return false
	}
	s.give(&l.checkRoom)
	if s.take(&l.checkRoom, int64(l.check.Size())) != nil {
		deny = true // it cannot be looked at
	}
	before := l.naming || l.denied
	denied = deny && !l.denied
	l.naming, l.denied = wait && !deny, l.denied || deny
	switch {
	case l.naming || l.denied:
		if !before {
			l.cleared = len(l.held)
		}
		l.passing = false
		if l.denied {
			l.dropHeld(l.cleared, s.recorder.o.DropDenied)
		}
	case before:
		l.cleared = 0
		if l.recorded {
			s.recorder.release(l)
		}
	}
	return denied
}
