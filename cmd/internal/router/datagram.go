//go:build linux

package router

import (
	"sync/atomic"

	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// opener returns the function that takes the beginning of each flow without a handshake, for
// stack.Options.DatagramOpened, and another that counts those which have no record yet.
func (a *assembly) opener() (opened func(*flow.Datagram) flow.Admission, open func() int) {
	var n atomic.Int64
	opened = func(d *flow.Datagram) flow.Admission {
		if admission := a.log.DatagramAdmission(d.Time); admission != flow.Admit {
			return admission
		}
		n.Add(1)
		o := new(record.Opening)
		d.Opening = o
		user := func(owner *record.Owner) {
			if a.names != nil {
				o.Name = a.names.datagram(d, owner)
				o.Untrusted = d.Decision != nil && d.Decision.ByName
			}
		}
		a.owners.datagram(d, user, func(owner *record.Owner, question []byte) {
			o.Owner = owner
			a.begun(&record.AttributedDatagram{Datagram: d, Opening: o, Question: question})
			n.Add(-1)
		})
		return flow.Admit
	}
	return opened, func() int { return int(n.Load()) }
}

// datagram calls user with the owner of a flow that begins, of which only the user is known. Then
// it calls done with all that is known of it: at once, or when the search for its process has
// ended. Both get nil where the client is not local, or its socket is not found. a may be nil.
//
// Where records alone have use for the process, done gets the question for it, and the writer of
// the record searches: a datagram that waits for its record waits for one answer, not for two.
func (a *attribution) datagram(
	d *flow.Datagram, user func(*record.Owner), done func(o *record.Owner, question []byte),
) {
	var socket owner.Socket
	found := false
	asked := noOwners
	if a != nil && a.local(d.Client.Addr()) {
		asked = a.asked()
	}
	if asked != noOwners {
		socket, found = a.finder.Socket(d.Proto, d.Client, d.Server)
	}
	if !found {
		user(nil)
		done(nil, nil)
		return
	}
	if o := record.AsOpening(d.Opening); o != nil {
		o.Sender = socket
	}
	if asked == users {
		o := &record.Owner{UID: socket.UID}
		user(o)
		done(o, nil)
		return
	}
	if asked == written && !d.Denied {
		o := &record.Owner{UID: socket.UID}
		user(o)
		done(o, a.finder.Question(socket))
		return
	}
	user(a.ownerOf(socket, owner.Process{}))
	a.mu.Lock()
	a.datagrams[d] = nil
	a.mu.Unlock()
	finish := func(p owner.Process) {
		done(a.ownerOf(socket, p), nil)
		a.mu.Lock()
		waiting := a.datagrams[d]
		delete(a.datagrams, d)
		a.mu.Unlock()
		for _, f := range waiting {
			f()
		}
	}
	q := []owner.Query{{Socket: socket, Done: func(p owner.Process, _ owner.Reason) { finish(p) }}}
	if a.finder.Search(q); !q[0].Searching {
		finish(q[0].Process)
	}
}

// sameSender reports whether the socket that has begun a flow is still the one that sends, for
// stack.Options.SameSender. Where that one was not known, the flow names no owner that could be
// wrong.
func (a *attribution) sameSender(d *flow.Datagram) bool {
	o := record.AsOpening(d.Opening)
	if o == nil {
		return true
	}
	socket, ok := o.Sender.(owner.Socket)
	return !ok || a.finder.IsStill(socket, d.Proto, d.Client, d.Server)
}

// inOrder returns a function that passes the end of each flow on to done, behind the record by
// which the flow began.
func (a *attribution) inOrder(done func(flow.Flow)) func(flow.Flow) {
	return func(f flow.Flow) {
		if f.Datagram == nil {
			done(f)
			return
		}
		if f.DNS != nil && f.Outcome == flow.Answered { // by one socket for each question, as a rule
			a.clientEnds(f.Client)
		}
		a.beforeDatagramAnswer(f.Datagram, func() { done(f) })
	}
}

// beforeDatagramAnswer calls answer when the owner of a flow is known, or will not be, for
// stack.Options.BeforeDatagramAnswer.
func (a *attribution) beforeDatagramAnswer(d *flow.Datagram, answer func()) {
	a.mu.Lock()
	waiting, waits := a.datagrams[d]
	if waits {
		a.datagrams[d] = append(waiting, answer)
	}
	a.mu.Unlock()
	if !waits {
		answer()
	}
}
