package tap

import (
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tap/tracker/tuple"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// phase is the state that the router may have for a flow that is not established.
type phase = uint8

const (
	idle      phase = iota
	dialling        // a SYN has passed: an endpoint may follow
	accepting       // a SYN-ACK has passed: the endpoint waits for the third segment
)

// live wraps a Tracker with the rules of a link whose router dials before it answers: which SYN may
// begin a handshake, and which segments must not reach the router although the handshake is over.
// Of an entry's Hold it uses Phase, Local, and with accepting Next: the number of a RST that the
// router's endpoint believes.
//
// A segment passes live's methods and, between them, those of the Tracker with one lock held.
type live struct {
	*tracker.Tracker
	limits   limits // changes with all shards locked
	sources  *sources
	renewals []renewal
	begun    chan struct{} // holds a token after a SYN, for Tap.Run
}

// segment is a TCP segment, or another packet, on its way through the tap.
type segment struct {
	tuple.Packet
	admission dropReason // why no handshake may begin with it
}

// track takes a segment and says whether it may pass.
func (l *live) track(s *segment, seen *tcpdump.Packet, at time.Time) dropReason {
	sh := l.Shard(&s.Packet)
	sh.Lock()
	defer sh.Unlock()
	e := sh.FindLocked(&s.Packet, at)
	switch {
	case s.Flags&packet.RST != 0:
		return l.onRSTLocked(sh, e, s, seen, at)
	case s.Flags&(packet.SYN|packet.ACK) == packet.SYN:
		return l.onSYNLocked(sh, e, s, seen, at)
	case s.Flags&packet.SYN != 0:
		return l.onSYNACKLocked(sh, e, s, seen, at)
	default:
		return l.onOtherLocked(sh, e, s, seen, at)
	}
}

// onSYNLocked takes a SYN without ACK.
func (l *live) onSYNLocked(sh *tracker.Shard, e *tracker.Entry, s *segment,
	seen *tcpdump.Packet, at time.Time,
) dropReason {
	if !s.FromA {
		return pass // the router opens no connection towards a client
	}
	if again := e != nil && e.InHandshake() && e.ISN() == s.Seq; !again {
		if r := l.mayBeginLocked(e, s, at); r != pass {
			return r
		}
	}
	e, _ = sh.TrackLocked(e, &s.Packet, seen, at)
	if e.ISN() == s.Seq && e.Hold.Phase == idle {
		e.Hold.Phase = dialling
	}
	select {
	case l.begun <- struct{}{}:
	default:
	}
	return pass
}

// mayBeginLocked says whether a SYN may begin a handshake. No SYN that will make a record passes
// without admission, and none that has no place in the table: its connection could succeed without
// a record.
func (l *live) mayBeginLocked(e *tracker.Entry, s *segment, at time.Time) dropReason {
	established := e != nil && (e.State() == tracker.StateEstablished || e.Tentative())
	recorded := e != nil && !e.InHandshake() && e.HasRecord(s.Seq)
	switch {
	case s.admission != pass:
		return s.admission
	case established: // it takes no place, and makes no record unless the connection is gone
		return pass
	case !recorded && !l.mayRenewLocked(s.Hash, at):
		return dropRenewal
	case e != nil && e.State().Counted():
		return pass
	case l.counted() >= l.limits.flows:
		return dropTCPFlows
	}
	client, _ := s.Flow.Ends()
	if l.sources.full(client.Addr(), s.Local, l.limits.flows, l.limits.perSource) {
		return dropTCPFlowsSource
	}
	return pass
}

// onSYNACKLocked takes a segment with SYN and ACK. After a SYN-ACK of the router its endpoint waits
// for a third segment. If the tap has no handshake for it, no third segment passes.
func (l *live) onSYNACKLocked(sh *tracker.Shard, e *tracker.Entry, s *segment,
	seen *tcpdump.Packet, at time.Time,
) dropReason {
	if s.FromA {
		return dropSYNACK // forged: the router opens no connection that a client could answer
	}
	switch {
	case e == nil:
		e = sh.AddLocked(&s.Packet, tracker.StateHeld, at)
	case e.State() == tracker.StateUnanswered, e.State() == tracker.StateClosed:
		sh.MoveLocked(e, tracker.StateHeld, at)
	}
	if e.State() != tracker.StateEstablished { // else repeated while the third segment was on its way
		e.Hold.Phase, e.Hold.Next = accepting, s.Ack
	}
	sh.TrackLocked(e, &s.Packet, seen, at)
	return pass
}

// onOtherLocked takes a segment with neither SYN nor RST.
func (l *live) onOtherLocked(sh *tracker.Shard, e *tracker.Entry, s *segment,
	seen *tcpdump.Packet, at time.Time,
) dropReason {
	switch {
	case e == nil, e.State() == tracker.StateEstablished, e.State() == tracker.StateClosed:
		return pass
	case !e.InHandshake() && s.FromA: // it has ended, or never began, and must not succeed
		return dropThird
	case !e.InHandshake():
		return pass
	case s.FromA && !e.Tentative() && e.LacksTimestamp(&s.Packet, seen):
		return dropThird
	}
	if _, acceptable := sh.TrackLocked(e, &s.Packet, seen, at); !acceptable {
		// Netstack's Forwarder takes any segment with ACK for the third one.
		return dropThird
	}
	if e.State() == tracker.StateEstablished {
		e.Hold.Phase = idle
		l.renewed(s.Hash)
	}
	return pass
}

// onRSTLocked takes a RST. The router decides whether a client's RST ends a connection, because it
// knows the numbers (RFC 5961 §3).
func (l *live) onRSTLocked(sh *tracker.Shard, e *tracker.Entry, s *segment,
	seen *tcpdump.Packet, at time.Time,
) dropReason {
	if e == nil {
		return pass
	}
	if hold := &e.Hold; !s.FromA || hold.Phase == accepting && s.Seq == hold.Next {
		hold.Phase = idle
	}
	switch {
	case e.State() == tracker.StateHeld && e.Hold.Phase == idle:
		sh.MoveLocked(e, tracker.StateNone, at)
	case s.FromA && (e.State() == tracker.StateEstablished || e.Tentative()):
	case e.Tentative() && !e.Acknowledges(&s.Packet): // the router may dial for the SYN yet
		e.EndConnection()
	default:
		sh.TrackLocked(e, &s.Packet, seen, at)
	}
	if s.FromA && e.Hold.Phase == accepting {
		return dropThird // netstack believes a RST anywhere in its window
	}
	return pass
}

// linger returns the state of a flow whose handshake has failed. While the router may have an
// endpoint for it the flow is held.
func (l *live) linger(e *tracker.Entry, o handshake.Outcome) tracker.State {
	switch hold := &e.Hold; {
	case o == handshake.Unreachable, // an answer of the router
		o == handshake.NoReply && hold.Phase == dialling: // no dial lasts that long
		hold.Phase = idle
	case hold.Phase != idle:
		return tracker.StateHeld
	}
	if s := e.Linger(o); s != tracker.StateNone {
		return s
	}
	if o == handshake.NoReply || o == handshake.Denied {
		return tracker.StateUnanswered
	}
	return tracker.StateNone
}

// counted is the number of handshakes and connections, to the tap or to the router.
func (l *live) counted() int {
	return l.HalfOpen() + l.Count(tracker.StateHeld) + l.Count(tracker.StateEstablished)
}

// dialDone takes the end of a dial.
func (l *live) dialDone(d flow.Dial, at time.Time) {
	p := tuple.Named(d.Key)
	sh := l.Shard(&p)
	sh.Lock()
	defer sh.Unlock()
	e := sh.FindLocked(&p, at)
	if e == nil {
		return
	}
	if e.Challenged(d.ISN) {
		sh.TakeChallengedLocked(e, at)
		e.Hold.Phase = dialling
	}
	if e.Hold.Phase == dialling && d.Answer != flow.Connected {
		e.Hold.Phase = idle
	}
	if e.State() == tracker.StateHeld && e.Hold.Phase == idle {
		sh.MoveLocked(e, tracker.StateNone, at)
	}
	if !e.InHandshake() || e.ISN() != d.ISN {
		return
	}
	sh.ConfirmLocked(e) // had the router known a connection it would not have dialled
	e.SetUpstream(d.Upstream)
	if d.Answer == flow.Denied {
		sh.EndLocked(e, handshake.Denied, at)
	} else if d.Answer == flow.NoReply {
		sh.ExpireHandshakeLocked(e, at)
	}
}

// forget takes the end of a handshake or connection in the router.
func (l *live) forget(k flow.Key, at time.Time) {
	p := tuple.Named(k)
	sh := l.Shard(&p)
	sh.Lock()
	defer sh.Unlock()
	e := sh.FindLocked(&p, at)
	switch {
	case e == nil:
	case e.State() == tracker.StateEstablished && e.LastISN() == k.ISN:
		sh.MoveLocked(e, tracker.StateNone, at)
	case e.Tentative() && e.LastISN() == k.ISN:
		e.EndConnection()
	case !expects(e, k.ISN):
	case e.InHandshake():
		e.Hold.Phase = idle
		sh.ExpireHandshakeLocked(e, at)
	default:
		e.Hold.Phase = idle
		sh.MoveLocked(e, tracker.StateNone, at)
	}
}

// expects reports whether the router works on the handshake with the client's number isn.
func expects(e *tracker.Entry, isn uint32) bool {
	switch e.Hold.Phase {
	case idle:
		return false
	case accepting:
		return e.Hold.Next == isn+1
	default:
		return e.ISN() == isn
	}
}
