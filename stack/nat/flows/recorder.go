//go:build linux

package flows

import (
	"container/list"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
)

// Options of a [Recorder]. No function may block.
type Options struct {
	// Opened receives each flow before its first datagram leaves. If it returns Admit, the
	// datagrams of the flow wait for Recorder.Recorded.
	Opened func(*tunflow.Datagram) tunflow.Admission
	// Ended receives the end of each flow that was admitted, once. It may be called with locks
	// held. nil disables it.
	Ended func(tunflow.Flow)
	// SameSender reports whether a client still sends through the socket that has begun a flow. nil
	// disables it.
	SameSender func(*tunflow.Datagram) bool
	// Contradicts reports whether a ClientHello asks for another name than that of its flow. nil
	// disables it.
	Contradicts func(*tunflow.Flow) bool
	// Strict reports whether Contradicts applies to a flow with this opening. nil means always.
	Strict func(opening tunflow.Opening) bool
	// Forbidden receives each flow whose later datagrams will all be dropped because of its
	// ClientHello. Hello is nil if that cannot be read. nil disables it.
	Forbidden func(f tunflow.Flow, remote netip.AddrPort)

	// The goroutine of Serve calls the functions below, for frames that were held.

	// HasMoved reports whether the host sends to target from another address than a mapping's.
	HasMoved func(k mappings.Key, target netip.AddrPort) bool
	// Again receives frames for which HasMoved returns true.
	Again func(f *gso.Frame, target netip.AddrPort, client mappings.Endpoint, server netip.AddrPort)
	// Failed receives other frames that the host has not sent.
	Failed func(f *gso.Frame, target netip.AddrPort, errno syscall.Errno)

	Open        *atomic.Int64  // gauge of flows that have not ended
	Unsolicited *atomic.Uint64 // datagrams from far ends that the client has no flow with

	// Dropped frames of clients, by reason.
	DropUnrecorded *atomic.Uint64 // not recorded in time, or there was no room to hold it
	DropDenied     *atomic.Uint64 // policy forbids the name of their flow
	DropClosed     *atomic.Uint64 // their mapping has just ended
}

// Recorder holds the first datagrams of each flow. The read loop opens flows and holds their
// datagrams, any goroutine may call Recorded, and that of Serve sends held datagrams.
type Recorder struct {
	// Patience is how long a datagram is held for the record of its flow: five seconds.
	Patience time.Duration
	// Pause is the silence of a client on a flow after which Options.SameSender is called: a
	// second. A program that takes another's port within that time inherits its flows.
	Pause time.Duration

	o     Options
	table *mappings.Table

	mu      sync.Mutex                  // guards the fields below, and Flow.awaits; innermost
	opened  map[*tunflow.Datagram]*Flow // not yet on record
	waiting list.List                   // of *Flow that hold datagrams, the longest first
	ready   []*Flow                     // on record, with datagrams to send
	sending bool                        // the last that was ready, perhaps

	wake chan struct{}
	out  hostsock.Msghdr // owned by the goroutine of Serve
}

// New returns the recorder of the flows of a table's mappings.
func New(t *mappings.Table, o Options) *Recorder {
	return &Recorder{
		Patience: 5 * time.Second, Pause: time.Second,
		o: o, table: t,
		opened: make(map[*tunflow.Datagram]*Flow), wake: make(chan struct{}, 1),
	}
}

// Recorded reports that the opening of a flow is on record: its datagrams may pass. Any goroutine
// may call it.
func (r *Recorder) Recorded(d *tunflow.Datagram) {
	r.mu.Lock()
	l := r.opened[d]
	delete(r.opened, d)
	r.mu.Unlock()
	if l == nil {
		return // it has ended
	}
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	if l.ended {
		return
	}
	l.recorded = true
	l.pass()
	if len(l.held) > l.waiting() {
		r.release(l)
	}
}

// Holds reports whether datagrams wait for the record of their flow, or to be sent after it. It may
// be called from any goroutine.
func (r *Recorder) Holds() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.waiting.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*Flow); r.opened[l.opened] == l {
			return true
		}
	}
	return r.sending || len(r.ready) > 0
}

// enter notes that a flow is about to be opened. The lock of its flows is held.
func (r *Recorder) enter(l *Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened[l.opened] = l
}

// await notes that a flow holds datagrams, if that is not known. The lock of its flows is held.
func (r *Recorder) await(l *Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.awaits != nil {
		return
	}
	l.awaits, l.since = r.waiting.PushBack(l), r.table.Now()
	if r.waiting.Len() == 1 {
		r.wakeUp()
	}
}

// release makes Serve send the datagrams of a flow. The lock of its flows is held.
func (r *Recorder) release(l *Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unawait(l)
	r.ready = append(r.ready, l)
	r.wakeUp()
}

// forget removes a flow. The lock of its flows is held.
func (r *Recorder) forget(l *Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.opened, l.opened)
	r.unawait(l)
}

// unawait removes a flow from the queue of those that hold datagrams. mu is held.
func (r *Recorder) unawait(l *Flow) {
	if l.awaits != nil {
		r.waiting.Remove(l.awaits)
		l.awaits = nil
	}
}

func (r *Recorder) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default: // it has not looked yet
	}
}

// ReportUnroutable reports the end of a flow that is on record although the host has no route for
// it.
func (r *Recorder) ReportUnroutable(d *tunflow.Datagram) {
	r.report(&Flow{opened: d, admitted: true, outcome: tunflow.NotReachable})
}

// report hands flows that have ended to Options.Ended; nil stands for one that is not admitted.
func (r *Recorder) report(ended ...*Flow) {
	for _, l := range ended {
		if l != nil && r.o.Ended != nil {
			r.o.Ended(l.report())
		}
	}
}

// Serve sends the datagrams of recorded flows, and drops those that have waited too long, until
// closed is closed.
func (r *Recorder) Serve(closed <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.wake:
		case <-timer.C:
		case <-closed:
			return
		}
		if again := r.Turn(); again > 0 {
			timer.Reset(again)
		}
	}
}

// Turn does the pending work, and returns the time until there may be more; 0 means never.
func (r *Recorder) Turn() time.Duration {
	for l := r.nextReady(); l != nil; l = r.nextReady() {
		r.drain(l)
	}
	return r.dropOverdue()
}

func (r *Recorder) nextReady() *Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sending = len(r.ready) > 0; !r.sending {
		r.ready = nil
		return nil
	}
	l := r.ready[0]
	r.ready[0] = nil
	r.ready = r.ready[1:]
	return l
}

// drain sends the datagrams that a flow holds, and then lets later ones pass.
func (r *Recorder) drain(l *Flow) {
	for _, h := range r.sendHeld(l) {
		r.o.Again(&h.frame, h.target, l.set.entry.Client, l.key.Server)
	}
}

// sendHeld sends the datagrams that a flow holds, and returns those for which the host's source
// address has changed.
func (r *Recorder) sendHeld(l *Flow) (again []*held) {
	s := l.set
	s.Sending.Lock()
	defer s.Sending.Unlock()
	for range MaxHeld { // then others have their turn
		s.mu.Lock()
		h, ok := l.next()
		if !ok {
			l.pass()
			s.mu.Unlock()
			return again
		}
		l.outPackets += uint64(h.frame.Datagrams())
		l.outBytes += uint64(h.frame.Payload())
		s.mu.Unlock()
		packets, bytes, errno := s.mapping.SendFrame(&r.out, &h.frame, h.target)
		if errno == 0 {
			continue
		}
		s.Failed(l, h.frame.Datagrams()-packets, h.frame.Payload()-bytes, errno)
		if LacksAddress(errno) && r.o.HasMoved(s.entry.Key, h.target) {
			again = append(again, &h)
		} else {
			r.o.Failed(&h.frame, h.target, errno)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.release(l)
	return again
}

// LacksAddress reports whether a socket could not send because its address may have gone.
func LacksAddress(errno syscall.Errno) bool {
	return errno == unix.EINVAL || errno == unix.ENETUNREACH // of newer kernels
}

// dropOverdue drops datagrams that have waited too long, and returns the time until it has to be
// called again, 0 for never.
func (r *Recorder) dropOverdue() time.Duration {
	for {
		r.mu.Lock()
		first := r.waiting.Front()
		if first == nil {
			r.mu.Unlock()
			return 0
		}
		l := first.Value.(*Flow)
		if rest := l.since + r.Patience - r.table.Now(); rest > 0 {
			r.mu.Unlock()
			return rest
		}
		r.unawait(l)
		r.mu.Unlock()
		l.set.mu.Lock()
		switch drops := r.o.DropUnrecorded; {
		case !l.recorded:
			l.dropHeld(0, drops)
		case l.naming:
			l.dropHeld(l.cleared, drops)
		}
		l.set.mu.Unlock()
	}
}
