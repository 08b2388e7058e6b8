package tracker

import (
	"cmp"
	"slices"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker/kept"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// supersedeLocked makes next the flow's handshake after another one without a verdict. In a capture
// the SYN of next may be forged, so that the other one may yet complete.
func (sh *Shard) supersedeLocked(e *Entry, next *tracked, at time.Time) {
	h := e.hs
	switch {
	case sh.t.o.Live || h.tentative:
		next.tentative = next.tentative || h.tentative
		sh.recordLocked(h, h.unanswered())
	default:
		sh.keepFormerLocked(e, h)
	}
	serial := next.serial
	sh.beginLocked(e, next, at)
	if serial != 0 { // it began earlier
		next.serial = serial
	}
}

func (sh *Shard) keepFormerLocked(e *Entry, h *tracked) {
	if e.past == nil {
		e.past = new(past)
	}
	if len(e.past.former) == MaxFormer { // the first SYN is the one that is answered most likely
		sh.recordLocked(e.past.former[1], e.past.former[1].unanswered())
		e.past.former = slices.Delete(e.past.former, 1, 2)
		sh.t.former.Add(-1)
		sh.t.crowded.Add(1)
	}
	i, _ := slices.BinarySearchFunc(e.past.former, h.serial, func(f *tracked, serial uint64) int {
		return cmp.Compare(f.serial, serial)
	})
	e.past.former = slices.Insert(e.past.former, i, h)
	sh.t.former.Add(1)
}

// takeFormerLocked returns the former handshake whose SYN comes again; nil if there is none.
func (sh *Shard) takeFormerLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet) *tracked {
	if e.past == nil {
		return nil
	}
	for i, f := range e.past.former {
		if f.fromClient(p) && f.iss == p.Seq && f.verdict() == "" && !f.answered {
			e.past.former = slices.Delete(e.past.former, i, i+1)
			sh.t.former.Add(-1)
			f.repeatSYN(p, seen)
			return f
		}
	}
	return nil
}

// formerLocked takes a segment of a flow with former handshakes. It reports whether the segment
// belongs to one of them alone.
func (sh *Shard) formerLocked(e *Entry, p *tuple.Packet, seen *tcpdump.Packet, at time.Time,
	order uint64,
) bool {
	current := e.hs != nil && e.hs.acksClient(p)
	for i, f := range e.past.former {
		switch fromClient := f.fromClient(p); {
		case p.Flags&packet.RST != 0:
			if !fromClient && !current && f.acksClient(p) && f.verdict() == "" && !f.answered {
				f.more().Verdict = handshake.Refused
				sh.showLocked(f, p, seen, at)
				return true
			}
		case p.Flags&packet.SYN != 0:
			if !fromClient && !current && f.acksClient(p) && !f.answered && f.more().SYNACK == nil {
				s := kept.Keep(p, seen, at, order)
				f.later.SYNACK = &s
			}
		case fromClient && f.thirdFits(p):
			sh.completeFormerLocked(e, i, p, seen, at)
			return true
		}
	}
	return false
}

// thirdFits reports whether a segment of the client is the third one of a former handshake.
func (h *tracked) thirdFits(p *tuple.Packet) bool {
	if h.answered {
		return h.acksServer(p)
	}
	if h.later == nil || h.later.SYNACK == nil {
		return false
	}
	s := h.later.SYNACK.Packet()
	return p.Flags&packet.ACK != 0 && packet.SeqWithin(s.Seq, p.Ack, s.Seq+s.SeqLen()) &&
		packet.SeqWithin(h.iss, p.Seq, h.cEnd)
}

// completeFormerLocked establishes a former handshake: later SYNs were in vain so far. The last of
// them may be answered on the open connection yet.
func (sh *Shard) completeFormerLocked(e *Entry, i int, p *tuple.Packet, seen *tcpdump.Packet,
	at time.Time,
) {
	f, current := e.past.former[i], e.hs
	sh.t.former.Add(-1)
	e.past.former = slices.Delete(e.past.former, i, i+1)
	e.hs = f
	if !f.answered {
		s := f.later.SYNACK
		f.answer(s.Packet(), &s.Seen, s.At)
		sh.showLocked(f, s.Packet(), &s.Seen, s.At)
	}
	f.rec.Conflict |= handshake.ConflictSYN
	sh.showLocked(f, p, seen, at)
	sh.establishLocked(e, p, at)
	switch {
	case current == nil:
	case current.verdict() != "":
		sh.recordLocked(current, current.verdict())
	default:
		current.tentative = !current.answered && !current.crossed
		current.own = current.tentative
		sh.beginLocked(e, current, at)
		if current.answered {
			sh.MoveLocked(e, StateSYNReceived, at)
		}
	}
	sh.onFINLocked(e, p, at)
}

// endWithFormersLocked records a handshake that ends, and the former ones of its flow, in the order
// in which they began. SYNs that came after that of an established one did not fit.
func (sh *Shard) endWithFormersLocked(e *Entry, h *tracked, o handshake.Outcome) {
	sh.t.former.Add(-int64(len(e.past.former)))
	former := e.past.former
	e.past.former = nil
	n := 0
	for n < len(former) && former[n].serial < h.serial {
		sh.recordLocked(former[n], former[n].unanswered())
		n++
	}
	if n < len(former) && o == handshake.Established {
		h.rec.Conflict |= handshake.ConflictSYN
	}
	sh.recordLocked(h, o)
	for _, f := range former[n:] {
		sh.recordLocked(f, f.unanswered())
	}
}

// formerUnreachable takes an ICMP error about a former handshake.
func (e *Entry) formerUnreachable(p *tuple.Packet) {
	if e.past == nil {
		return
	}
	for _, f := range e.past.former {
		if f.fromClient(p) && f.iss == p.Seq && f.verdict() == "" && !f.answered {
			f.more().Verdict = handshake.Unreachable
		}
	}
}
