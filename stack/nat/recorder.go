//go:build linux

package nat

import (
	"container/list"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"syntap/stack/dial"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
)

// recorder is the gate before the first datagram of each flow. NAT.carry opens flows and has their
// datagrams held; Recorded may come from any goroutine; that of serve sends what was
// held.
type recorder struct {
	o      *Options
	table  *mappings.Table
	failed func(f *gso.Frame, target netip.AddrPort, errno syscall.Errno) // NAT.failed
	again  func(h *held, client mappings.Endpoint, server netip.AddrPort) // NAT.carryAgain

	mu      sync.Mutex                  // guards the fields below, and flow.awaits; innermost
	opened  map[*tunflow.Datagram]*flow // not yet on record
	waiting list.List                   // of awaiting, the longest first
	ready   []*flow                     // on record, with datagrams to send

	wake     chan struct{}
	patience time.Duration // recordPatience; tests shorten it
	pause    time.Duration // senderPause; tests shorten it

	// Owned by the goroutine of serve.
	out    hostsock.Msghdr
	routes *dial.Routes
}

// awaiting is a flow that holds datagrams.
type awaiting struct {
	*flow
	since time.Duration // on the table's clock
}

// recordPatience is how long a datagram is held for the record of its flow.
const recordPatience = 5 * time.Second

func newRecorder(n *NAT) *recorder {
	r := &recorder{
		o: &n.o, table: n.table, again: n.carryAgain,
		opened: make(map[*tunflow.Datagram]*flow), wake: make(chan struct{}, 1),
		patience: recordPatience, pause: senderPause,
		routes: n.dialer.NewRoutes(),
	}
	r.failed = func(f *gso.Frame, target netip.AddrPort, errno syscall.Errno) {
		n.failed(f, target, errno, r.routes, nil)
	}
	return r
}

// Recorded says that the opening of a flow is on record, and lets its datagrams pass. It may be
// called from any goroutine.
func (n *NAT) Recorded(d *tunflow.Datagram) {
	if n.recorder != nil {
		n.recorder.recorded(d)
	}
}

func (r *recorder) recorded(d *tunflow.Datagram) {
	r.mu.Lock()
	l := r.opened[d]
	delete(r.opened, d)
	r.mu.Unlock()
	if l == nil {
		return // it has ended
	}
	flows := &l.mapping.flows
	flows.mu.Lock()
	defer flows.mu.Unlock()
	if l.ended {
		return
	}
	l.recorded = true
	l.pass()
	if len(l.held) > l.waiting() {
		r.release(l)
	}
}

// enter notes that a flow is about to be opened. The lock of its flows is held.
func (r *recorder) enter(l *flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened[l.opened] = l
}

// await notes that a flow holds datagrams, if that is not known. The lock of its flows is held.
func (r *recorder) await(l *flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.awaits != nil {
		return
	}
	l.awaits = r.waiting.PushBack(awaiting{l, r.table.Now()})
	if r.waiting.Len() == 1 {
		r.wakeUp()
	}
}

// release has the datagrams of a flow sent. The lock of its flows is held.
func (r *recorder) release(l *flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unawait(l)
	r.ready = append(r.ready, l)
	r.wakeUp()
}

// forget takes a flow out. The lock of its flows is held.
func (r *recorder) forget(l *flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.opened, l.opened)
	r.unawait(l)
}

// unawait takes a flow out of the queue of those that hold datagrams. mu is held.
func (r *recorder) unawait(l *flow) {
	if l.awaits != nil {
		r.waiting.Remove(l.awaits)
		l.awaits = nil
	}
}

func (r *recorder) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default: // it has not looked yet
	}
}

// report hands flows that have ended to Options.Ended; nil stands for one that is not admitted.
func (r *recorder) report(ended ...*flow) {
	for _, l := range ended {
		if l != nil && r.o.Ended != nil {
			r.o.Ended(l.report())
		}
	}
}

// serve sends the datagrams of flows that are on record, and drops those that have waited too long,
// until closed is.
func (r *recorder) serve(closed <-chan struct{}) {
	defer r.routes.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.wake:
		case <-timer.C:
		case <-closed:
			return
		}
		if again := r.turn(); again > 0 {
			timer.Reset(again)
		}
	}
}

// turn does the work that there is, and returns the time until there may be more, 0 for never.
func (r *recorder) turn() time.Duration {
	for l := r.nextReady(); l != nil; l = r.nextReady() {
		r.drain(l)
	}
	return r.dropOverdue()
}

func (r *recorder) nextReady() *flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ready) == 0 {
		r.ready = nil
		return nil
	}
	l := r.ready[0]
	r.ready[0] = nil
	r.ready = r.ready[1:]
	return l
}

// drain sends the datagrams that a flow holds, and then lets those to come pass.
func (r *recorder) drain(l *flow) {
	for _, h := range r.sendHeld(l) {
		r.again(h, l.mapping.Client, l.key.server)
	}
}

// sendHeld sends the datagrams that a flow holds, and returns those for which the host has another
// address by now.
func (r *recorder) sendHeld(l *flow) (again []*held) {
	m := l.mapping
	m.sending.Lock()
	defer m.sending.Unlock()
	for range maxHeld { // then others have their turn
		m.flows.mu.Lock()
		h, ok := l.next()
		if !ok {
			l.pass()
			m.flows.mu.Unlock()
			return again
		}
		l.out.add(h.frame.Datagrams(), h.frame.Payload())
		m.flows.mu.Unlock()
		switch errno := m.sendCounted(&r.out, l, &h.frame, h.target); {
		case errno == 0:
		case lacksAddress(errno) && r.hasMoved(m, h.target):
			again = append(again, &h)
		default:
			r.failed(&h.frame, h.target, errno)
		}
	}
	m.flows.mu.Lock()
	defer m.flows.mu.Unlock()
	r.release(l)
	return again
}

// hasMoved reports whether the host sends to target from another address than a mapping's.
func (r *recorder) hasMoved(m *mapping, target netip.AddrPort) bool {
	if r.o.KeepSource(m.Client.Addr()) {
		return false
	}
	local, err := r.routes.Source(target)
	return err == nil && local != m.Local
}

// dropOverdue drops datagrams that have waited too long, and returns the time until it has to be
// called again, 0 for never.
func (r *recorder) dropOverdue() time.Duration {
	for {
		r.mu.Lock()
		first := r.waiting.Front()
		if first == nil {
			r.mu.Unlock()
			return 0
		}
		l := first.Value.(awaiting)
		if rest := l.since + r.patience - r.table.Now(); rest > 0 {
			r.mu.Unlock()
			return rest
		}
		r.unawait(l.flow)
		r.mu.Unlock()
		flows := &l.mapping.flows
		flows.mu.Lock()
		switch drops := &l.mapping.stats.DropUnrecorded; {
		case !l.recorded:
			l.dropHeld(0, drops)
		case l.naming:
			l.dropHeld(l.cleared, drops)
		}
		flows.mu.Unlock()
	}
}
