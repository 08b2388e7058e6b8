package format

import (
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// details writes the members that a schema has no field for, with their keys in JSON records.
func (o *object) details(r *Record) {
	o.text("aborted_by", r.AbortedBy)
	o.text("name_source", r.NameSource)
	o.texts("names", r.Names)
	o.flag("name_conflict", r.NameConflict)
	o.micros("synack_us", r.SYNACKDelay)
	o.micros("ack_us", r.ACKDelay)
	o.some("syn_retransmits", uint64(r.SYNRetransmits))
	o.some("synack_retransmits", uint64(r.SYNACKRetransmits))
	o.flag("simultaneous", r.Simultaneous)
	o.rewrites(r.Rewrites)
	if u := &r.Upstream; u.Known {
		o.open("upstream")
		if u.Remote.IsValid() {
			o.key("remote")
			o.b = append(u.Remote.AppendTo(append(o.b, '"')), '"')
		}
		if r.Proto == flow.TCP {
			o.int("dial_us", u.Dial.Microseconds())
		}
		o.some("mss", uint64(u.MSS))
		o.close()
	}
	o.some("length", uint64(r.Length))
	if r.Proto == flow.ICMP && r.Client.IsValid() {
		o.uint("identifier", uint64(r.Client.Port()))
	}
	o.some("retransmits", r.Retransmits)
	o.text("closed_by", r.ClosedBy)
	o.text("close", r.Close)
	o.flag("ech", r.ECH)
	o.text("http_host", r.HTTPHost)
	o.text("quic_version", r.QUIC)
}

func (o *object) rewrites(all []Rewrite) {
	if len(all) == 0 {
		return
	}
	objects(o, "rewrites", all, func(w *Rewrite) {
		o.text("packet", w.Packet)
		o.text("what", w.What)
		o.text("from", w.From)
		o.text("to", w.To)
		o.uint("rule", uint64(w.Rule))
	})
}

// dns writes the queries and the response.
func (o *object) dns(r *Record) {
	o.open("dns")
	objects(o, "queries", r.Queries, func(q *Question) {
		o.text("name", q.Name)
		o.text("type", q.Type)
	})
	o.text("rcode", r.RCode)
	o.answers("answers", r.Answers)
	o.close()
}

func (o *object) answers(key string, all []Answer) {
	if len(all) == 0 {
		return
	}
	objects(o, key, all, func(a *Answer) {
		o.text("name", a.Name)
		o.text("type", a.Type)
		o.text("data", a.Data)
		o.uint("ttl", uint64(a.TTL))
	})
}

// account writes the members of a finding, of a gap, or of the end of a run.
func (o *object) account(r *Record) {
	if f := r.Finding; f != nil {
		o.finding(f)
	}
	if g := r.Gap; g != nil {
		o.text("reason", string(g.Reason))
		o.time("from", g.From)
		o.time("to", g.To)
		o.some("lost", g.Lost)
		o.some("refused", g.Refused)
		o.some("first", g.First)
		o.some("last", g.Last)
	}
	if e := r.End; e != nil {
		o.open("records")
		o.uint("handshake", e.Records.Handshake)
		o.uint("datagram", e.Records.Datagram)
		o.uint("flow", e.Records.Flow)
		o.uint("finding", e.Records.Finding)
		o.uint("gap", e.Records.Gap)
		o.close()
		if e.Frames != nil {
			o.open("frames")
			o.uint("read", e.Frames.Read)
			o.uint("accounted", e.Frames.Accounted)
			if e.Frames.Died > 0 {
				o.uint("died", e.Frames.Died)
			}
			o.close()
		}
	}
}

func (o *object) finding(f *record.Finding) {
	o.text("kind", string(f.Kind))
	o.text("confidence", string(f.Confidence))
	o.text("leg", string(f.Leg))
	o.text("proto", f.Proto)
	o.text("dst", f.Dst)
	o.some("dport", uint64(f.DPort))
	o.text("name", f.Name)
	o.text("direction", f.Direction)
	o.some("passes", uint64(f.Passes))
	o.some("fails", uint64(f.Fails))
	o.uint("flows", uint64(f.Flows))
	o.some("clamp", uint64(f.Clamp))
	o.flag("applied", f.Applied)
	if !f.Expires.IsZero() {
		o.time("expires", f.Expires)
	}
	if len(f.Stalls) == 0 {
		return
	}
	objects(o, "stalls", f.Stalls, func(s *record.Stall) {
		o.text("src", s.Src)
		o.uint("sport", uint64(s.SPort))
		o.text("dst", s.Dst)
		o.uint("dport", uint64(s.DPort))
		o.uint("stalled_us", uint64(s.Silent))
		o.uint("snd_mss", uint64(s.SndMSS))
		o.uint("rcv_mss", uint64(s.RcvMSS))
		o.uint("unacked", uint64(s.Unacked))
		o.uint("sacked", uint64(s.Sacked))
		o.uint("backoff", uint64(s.Backoff))
		o.uint("retransmits", uint64(s.Retransmits))
		o.uint("out_of_order", uint64(s.OutOfOrder))
		o.uint("outbound_acked", s.Acked)
		o.uint("inbound_in_order", s.Received)
		o.some("inbound_missing", s.Missing)
	})
}
