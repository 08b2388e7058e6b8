package tap

import (
	"slices"
	"time"

	"syntap/tap/tcpdump"
	"syntap/tun/packet"
)

// outcomes are all of them, in the order of the contract.
var outcomes = [...]Outcome{Established, Refused, Unreachable, Denied, Aborted, NoReply, HalfOpen}

// Outcomes returns all outcomes there are.
func Outcomes() []Outcome { return slices.Clone(outcomes[:]) }

// makeRoom sees to it that the table can hold one more attempt. Live it cannot, at a limit: an
// attempt that has no place must not reach the router, where it could succeed without a record.
func (t *Tracker) makeRoom(sh *shard, s *segment, at time.Time) dropReason {
	if t.live {
		client, _ := s.key.ends()
		switch {
		case t.size() >= int64(t.o.TCPFlows):
			return dropTCPFlows
		case t.sources.full(client.Addr(), s.local, t.o.TCPFlows, t.o.TCPFlowsPerSource):
			return dropTCPFlowsSource
		}
		return pass
	}
	if t.places() >= int64(t.o.HalfOpen) {
		oldest := sh.lists[opening].first
		if f := sh.lists[answered].first; oldest == nil || f != nil && f.attempt.serial < oldest.attempt.serial {
			oldest = f
		}
		t.evicted.Add(1)
		t.finish(sh, oldest, oldest.attempt.unanswered(), at)
	}
	return pass
}

// begin makes a the flow's attempt.
func (t *Tracker) begin(sh *shard, f *entry, a *attempt, at time.Time) {
	a.serial = t.serial.Add(1)
	f.attempt, f.challenged = a, nil
	if !a.tentative {
		f.gone = false
	}
	f.maybeDialling()
	t.move(sh, f, opening, at)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// challenge takes a SYN with another number while the server waits for the third segment. The
// server answers it with an ACK, whatever its number is, and the client resets the first attempt if
// it has given it up (RFC 5961 §4). Until then nothing has changed.
func (f *entry) challenge(s *segment, p *tcpdump.Packet, at time.Time) {
	if f.challenged != nil && f.challenged.iss == s.Seq {
		f.challenged.repeatSYN(s, p)
	} else {
		f.challenged = newAttempt(s, p, at)
		f.challenged.tentative = true
	}
	f.challenged.show(s, p, at)
}

// answersChallenged reports whether a segment of the server answers the challenged SYN after all:
// it has forgotten the first attempt.
func (f *entry) answersChallenged(s *segment) bool {
	return f.challenged != nil && s.Flags&(packet.SYN|packet.RST) != 0 && s.fromA != f.challenged.clientIsA &&
		f.challenged.acksClient(s) && !(f.attempt != nil && f.attempt.acksClient(s))
}

// takeChallenged makes the challenged SYN the flow's attempt, which ends the first one.
func (t *Tracker) takeChallenged(sh *shard, f *entry, at time.Time) {
	if f.attempt != nil {
		t.record(sh, f.attempt, f.attempt.unanswered())
	}
	f.router = idle
	t.begin(sh, f, f.challenged, at)
	t.confirm(sh, f.attempt)
}

// confirm turns a tentative attempt into one like any other: the other side has forgotten the
// connection, or the attempt, underneath.
func (t *Tracker) confirm(sh *shard, a *attempt) {
	if !a.tentative {
		return
	}
	a.tentative = false
	for i := range a.rec.Segments {
		t.emit(sh, a, a.rec.Segments[i])
	}
}

// ifBothAcked establishes a simultaneous open once each SYN is acknowledged.
func (t *Tracker) ifBothAcked(sh *shard, f *entry, at time.Time) {
	if f.attempt.ackedClient && f.attempt.ackedServer {
		t.establish(sh, f, at)
	}
}

func (t *Tracker) establish(sh *shard, f *entry, at time.Time) {
	a := f.attempt
	t.confirm(sh, a)
	if a.answered && a.rec.SYNACKRetransmits == 0 { // else ambiguous (Karn, RFC 6298 §3)
		a.rec.ACKDelay = at.Sub(a.synackTime)
	}
	f.closed, f.challenged = 0, nil
	sh.renewed(f.hash)
	t.finish(sh, f, Established, at)
}

// showLast adds the segment that ends the attempt.
func (t *Tracker) showLast(sh *shard, f *entry, s *segment, p *tcpdump.Packet, at time.Time, o Outcome) {
	t.show(sh, f.attempt, s, p, at)
	t.finish(sh, f, o, at)
}

// onFIN forgets an established flow of a capture when both ends have sent FIN. Live the router says
// when.
func (t *Tracker) onFIN(sh *shard, f *entry, s *segment, at time.Time) {
	if t.live || s.Flags&packet.FIN == 0 {
		return
	}
	if s.fromA {
		f.closed |= 1
	} else {
		f.closed |= 2
	}
	if f.closed == 3 {
		t.move(sh, f, absent, at)
	}
}

// finish ends the flow's attempt with its verdict.
func (t *Tracker) finish(sh *shard, f *entry, o Outcome, at time.Time) {
	a := f.attempt
	f.attempt = nil
	switch {
	case a.tentative && f.gone:
		t.move(sh, f, absent, at)
		return
	case a.tentative: // no answer: the connection underneath lives on
		t.keep(sh, f, established, t.o.TCPFlows, at)
		return
	}
	t.record(sh, a, o)
	f.outcome, f.iss = o, a.iss
	switch {
	case o == Established:
		f.router = idle
		t.keep(sh, f, established, t.o.TCPFlows, at)
	case f.router != idle && t.live:
		t.move(sh, f, held, at)
	case o == Refused || o == Unreachable || o == HalfOpen || f.challenged != nil:
		t.keep(sh, f, told, t.o.TCPFlows, at)
	case !t.live:
		t.move(sh, f, absent, at)
	case o == NoReply || o == Denied:
		t.keep(sh, f, silent, t.o.TCPFlows, at)
	default:
		t.move(sh, f, absent, at)
	}
}

// keep moves a flow to a class that holds limit flows. When they are more, the oldest of the
// shard's others goes; but for live connections, which SYNs make no more of then.
func (t *Tracker) keep(sh *shard, f *entry, c class, limit int, at time.Time) {
	t.move(sh, f, c, at)
	if t.live && c == established {
		return
	}
	if oldest := sh.lists[c].first; t.count[c].Load() > int64(limit) && oldest != f {
		t.evicted.Add(1)
		t.move(sh, oldest, absent, at)
	}
}

// record hands out the record of an attempt, unless its SYN has one that says the same, or has got
// no SYN-ACK since: the first verdict stands.
func (t *Tracker) record(sh *shard, a *attempt, o Outcome) {
	if a.tentative || a.recorded != "" && (o == a.recorded || !a.answered && !a.crossed) {
		return
	}
	a.rec.Outcome = o
	for i := range outcomes {
		if outcomes[i] == o {
			t.handshakes[i].Add(1)
		}
	}
	if t.o.OnRecord != nil {
		sh.events = append(sh.events, event{key: a.rec.Key(), record: &a.rec})
	}
}

// show adds a segment to the record.
func (t *Tracker) show(sh *shard, a *attempt, s *segment, p *tcpdump.Packet, at time.Time) {
	if kept := a.show(s, p, at); kept != nil && !a.tentative {
		t.emit(sh, a, *kept)
	}
}

func (t *Tracker) emit(sh *shard, a *attempt, kept Segment) {
	if t.o.OnSegment != nil {
		sh.events = append(sh.events, event{key: a.rec.Key(), segment: kept})
	}
}

// deliver calls the functions of Options for the events that wait, and unlocks the shard. When
// another goroutine is at it already, that one goes on.
func (t *Tracker) deliver(sh *shard) {
	for !sh.delivering && len(sh.events) > 0 {
		batch := sh.events
		sh.events, sh.delivering = sh.spare[:0], true
		sh.mu.Unlock()
		for i := range batch {
			if e := &batch[i]; e.record != nil {
				t.o.OnRecord(e.record)
			} else {
				t.o.OnSegment(e.key, e.segment)
			}
		}
		clear(batch)
		sh.mu.Lock()
		sh.spare, sh.delivering = batch[:0], false
	}
	sh.mu.Unlock()
}
