package tap

import (
	"time"

	"syntap/tap/tcpdump"
)

// onSYN takes a SYN without ACK.
func (t *Tracker) onSYN(sh *shard, f *entry, s *segment, hash uint64, p *tcpdump.Packet, at time.Time) dropReason {
	if t.live && !s.fromA {
		return pass // the router opens nothing towards a client
	}
	if f != nil && f.class == told && at.After(f.deadline) { // of a capture, which has no timers
		t.move(sh, f, absent, at)
		f = nil
	}
	if f != nil && f.attempt != nil {
		return t.onNextSYN(sh, f, s, p, at)
	}
	if r := t.mayBegin(sh, f, s, hash, at); r != pass {
		return r
	}
	a := newAttempt(s, p, at)
	switch {
	case f == nil:
		f = t.add(sh, s.key, hash)
		f.local = s.local
	case f.class == established: // RFC 9293 §3.10.7.4: the peer answers with a challenge ACK
		a.tentative = true
	case f.challenged != nil && f.challenged.iss == s.Seq:
		a = f.challenged
		a.repeatSYN(s, p)
		t.confirm(sh, a)
	case f.hasRecord(s.Seq):
		a.recorded = f.outcome
	}
	t.begin(sh, f, a, at)
	t.show(sh, a, s, p, at)
	return pass
}

// mayBegin says whether a SYN may begin an attempt. Nothing that will make a record passes without
// admission.
func (t *Tracker) mayBegin(sh *shard, f *entry, s *segment, hash uint64, at time.Time) dropReason {
	switch {
	case s.admission != pass:
		return s.admission
	case f != nil && f.class == established: // it takes no place, and makes no record unless the connection is gone
		return pass
	case !(f != nil && f.hasRecord(s.Seq)) && !sh.mayRenew(hash, at):
		return dropRenewal
	case f != nil && f.class.counted():
		return pass
	}
	return t.makeRoom(sh, s, at)
}

// hasRecord reports whether the SYN with a number has its record, which is of an attempt that came
// to nothing.
func (f *entry) hasRecord(iss uint32) bool {
	switch f.outcome {
	case NoReply, Denied, HalfOpen, Refused, Unreachable:
		return f.iss == iss
	}
	return false
}

// onNextSYN takes a SYN on a flow with an open attempt.
func (t *Tracker) onNextSYN(sh *shard, f *entry, s *segment, p *tcpdump.Packet, at time.Time) dropReason {
	switch a := f.attempt; {
	case s.fromA != a.clientIsA:
		a.cross(s, p)
		t.show(sh, a, s, p, at)
	case s.Seq == a.iss:
		a.repeatSYN(s, p)
		t.show(sh, a, s, p, at)
		f.maybeDialling()
	case s.admission != pass:
		return s.admission
	case !a.tentative && !sh.mayRenew(f.hash, at):
		return dropRenewal
	case a.answered:
		f.challenge(s, p, at)
	default: // another number: the client has given the attempt up
		next := newAttempt(s, p, at)
		next.tentative = a.tentative
		t.record(sh, a, a.unanswered())
		t.begin(sh, f, next, at)
		t.show(sh, next, s, p, at)
	}
	return pass
}

// onSYNACK takes a segment with SYN and ACK.
func (t *Tracker) onSYNACK(sh *shard, f *entry, s *segment, hash uint64, p *tcpdump.Packet, at time.Time) dropReason {
	if t.live {
		if s.fromA {
			return dropSYNACK // forged: the router opens nothing that a client could answer
		}
		f = t.accept(sh, f, s, hash, at)
	}
	if f == nil || f.attempt == nil {
		return pass
	}
	a := f.attempt
	fromClient := s.fromA == a.clientIsA
	if fromClient || !a.acksClient(s) {
		// RFC 9293 §3.10.7.3: a client answers a wrong ACK with RST and stays in SYN-SENT.
		t.show(sh, a, s, p, at)
		if fromClient && a.crossed && a.acksServer(s) {
			a.ackedServer = true
			t.ifBothAcked(sh, f, at)
		}
		return pass
	}
	t.confirm(sh, a)
	if !a.answered {
		t.move(sh, f, answered, at)
	}
	a.answer(s, p, at)
	t.show(sh, a, s, p, at)
	a.ackedClient = true
	t.ifBothAcked(sh, f, at)
	return pass
}

// accept notes that the router waits for a third segment, also where the tap has no attempt for it:
// then none passes.
func (t *Tracker) accept(sh *shard, f *entry, s *segment, hash uint64, at time.Time) *entry {
	switch {
	case f == nil:
		f = t.add(sh, s.key, hash)
		t.move(sh, f, held, at)
	case f.class == established: // repeated while the third segment was on its way
		return f
	case f.class == silent || f.class == told:
		t.move(sh, f, held, at)
	}
	f.router, f.cNext = accepting, s.Ack
	return f
}

// onOther takes a segment with neither SYN nor RST.
func (t *Tracker) onOther(sh *shard, f *entry, s *segment, p *tcpdump.Packet, at time.Time) dropReason {
	if f == nil {
		return pass
	}
	if f.attempt == nil {
		switch {
		case f.class == established:
			t.onFIN(sh, f, s, at)
		case f.class == told: // the router has nothing for it
		case s.fromA: // what has ended, or never began, is not to succeed
			return dropThird
		}
		return pass
	}
	a := f.attempt
	fromClient := s.fromA == a.clientIsA
	switch {
	case a.tentative: // a segment of the connection underneath
	case a.crossed && fromClient && !a.ackedServer && a.acksServer(s):
		a.ackedServer = true
		t.show(sh, a, s, p, at)
		t.ifBothAcked(sh, f, at)
	case a.crossed && !fromClient && !a.ackedClient && a.acksClient(s):
		a.ackedClient = true
		t.show(sh, a, s, p, at)
		t.ifBothAcked(sh, f, at)
	case !fromClient && a.answered:
		a.serverData(s)
	case fromClient && a.answered && !a.crossed && a.acksServer(s) && !(t.live && a.lacksTimestamp(s, p)):
		t.show(sh, a, s, p, at)
		t.establish(sh, f, at)
		t.onFIN(sh, f, s, at)
	case fromClient && t.live:
		// Netstack's Forwarder takes any segment with ACK for the third one, whatever it
		// acknowledges.
		return dropThird
	}
	return pass
}

// onRST takes a RST. One that is not exact is a guess (RFC 5961 §3). Live, whether one of a client
// ends a connection is for the router to say, which knows the numbers.
func (t *Tracker) onRST(sh *shard, f *entry, s *segment, p *tcpdump.Packet, at time.Time) dropReason {
	if f == nil {
		return pass
	}
	if t.live && (!s.fromA || f.router == accepting && s.Seq == f.cNext) {
		f.router = idle
	}
	ends := !t.live || !s.fromA
	switch a := f.attempt; {
	case a == nil:
		if f.class == established && ends || f.class == held && f.router == idle {
			t.move(sh, f, absent, at)
		}
	case a.tentative && !ends:
	case a.tentative && !a.acksClient(s): // it ends the connection underneath
		f.gone = true
		if !t.live {
			t.finish(sh, f, NoReply, at)
		}
	case s.fromA == a.clientIsA:
		if s.Seq == a.resetNumber() {
			a.rec.AbortedBy = Client
			t.showLast(sh, f, s, p, at, Aborted)
		}
	case a.answered || a.crossed:
		if s.Seq == a.sEnd || s.Seq == a.sNext {
			a.rec.AbortedBy = Server
			t.showLast(sh, f, s, p, at, Aborted)
		}
	case a.acksClient(s): // RFC 9293 §3.10.7.3
		t.confirm(sh, a)
		t.showLast(sh, f, s, p, at, Refused)
	}
	if t.live && s.fromA && f.router == accepting {
		return dropThird // netstack believes a RST anywhere in its window
	}
	return pass
}
