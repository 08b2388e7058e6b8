package format

import (
	"encoding/binary"
	"net/netip"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// Live fills in records from the router's own types, as a [Decoder] does from their lines in a JSON
// log: times are in whole microseconds. The records share the memory of these types. A Live is for
// one goroutine at a time.
type Live struct {
	Run   record.Run
	texts Decoder // for histories
}

// begin sets the members that each type of record has.
func (l *Live) begin(r *Record, t Type, at time.Time) {
	*r = Record{
		Type: t, Time: at.Truncate(time.Microsecond), RunID: l.Run.ID, Host: l.Run.Host,
		SYNACKDelay: -1, ACKDelay: -1, Last: -1, Duration: -1,
		Names: r.Names[:0], Rewrites: r.Rewrites[:0], ALPN: r.ALPN[:0], Queries: r.Queries[:0], Answers: r.Answers[:0],
	}
}

// Handshake fills in the record of an attempt.
func (l *Live) Handshake(r *Record, a *record.Attributed) {
	l.begin(r, Handshake, a.Time)
	r.Outcome, r.AbortedBy = string(a.Outcome), string(a.AbortedBy)
	r.Client, r.Server, r.ClientISN = a.Client, a.Server, a.ClientISN
	r.SYNRetransmits, r.SYNACKRetransmits, r.Simultaneous = a.SYNRetransmits, a.SYNACKRetransmits, a.Simultaneous
	r.SYNACKDelay, r.ACKDelay = whole(a.SYNACKDelay), whole(a.ACKDelay)
	l.segments(r, a.Record)
	for i := range a.Rewrites {
		w := &a.Rewrites[i]
		from := w.From
		if from == "none" { // the rule has added the option
			from = ""
		}
		r.Rewrites = append(r.Rewrites, Rewrite{w.Packet, w.What, from, w.To, w.Rule})
	}
	if u := a.Upstream; u != nil {
		r.Upstream = Upstream{
			true, withoutZone(u.Local), withoutZone(u.Remote), whole(max(u.DialTime, 0)), int(u.MSS), u.Error,
		}
		r.decision(u.Decision)
	}
	r.opening(a.Opening)
}

// segments takes from the segments of a handshake its history and its length.
func (l *Live) segments(r *Record, a *handshake.Record) {
	var h history
	for i := range a.Segments {
		s := &a.Segments[i]
		t := step{at: whole(s.Time.Sub(a.Time)), outbound: s.FromClient, payload: s.Payload > 0}
		if header := s.Header(); header != nil {
			const fin, syn, rst, ack = 1, 2, 4, 16 // RFC 9293 §3.1
			bits := header[13]
			t.fin, t.syn, t.rst, t.ack = bits&fin != 0, bits&syn != 0, bits&rst != 0, bits&ack != 0
			t.seq = binary.BigEndian.Uint32(header[4:])
		}
		h.add(t)
		r.Last = max(r.Last, t.at)
	}
	r.History = l.texts.intern(h.letters[:h.n])
}

// Datagram fills in the record of the first datagram of a flow.
func (l *Live) Datagram(r *Record, d *record.AttributedDatagram) {
	l.begin(r, Datagram, d.Time)
	r.Proto, r.Client, r.Server, r.Length = d.Proto, d.Client, d.Server, d.Length
	r.decision(d.Decision)
	if d.Denied {
		r.Verdict = "deny"
	}
	r.dns(d.DNS)
	if q := d.QUIC; q != nil {
		r.QUIC = q.Version
		r.hello(q.Hello)
		r.TLSVersion = "" // as QUIC has no other
	}
	if d.Upstream.IsValid() {
		r.Upstream = Upstream{Known: true, Remote: withoutZone(d.Upstream)}
	}
	r.opening(d.Opening)
}

// Flow fills in the record of a connection or flow that is over.
func (l *Live) Flow(r *Record, f *record.AttributedFlow) {
	duration := whole(max(f.Duration, 0))
	l.begin(r, Flow, f.Started.Truncate(time.Microsecond).Add(duration))
	r.Duration = duration
	r.Bytes = Traffic{f.Outbound, f.Inbound}
	r.Proto, r.Client, r.Server = f.Proto(), f.Client, f.Server
	hello := f.Hello
	if d := f.Datagram; d != nil {
		r.Client, r.Server, r.Outcome = d.Client, d.Server, f.Outcome.String()
		r.Packets = Traffic{f.OutboundPackets, f.InboundPackets}
		if hello == nil && d.QUIC != nil {
			hello = d.QUIC.Hello
		}
	} else {
		r.ClientISN, r.Retransmits = f.ISN, f.Retransmits
		r.ClosedBy, r.Close = f.End.By(), f.End.How()
	}
	r.hello(hello)
	r.HTTPHost, r.NameConflict = f.HTTPHost, f.NameConflict
	r.dns(f.DNS)
	r.opening(record.OpeningOf(&f.Flow))
}

// Finding fills in the record of a finding.
func (l *Live) Finding(r *Record, f *record.Finding) {
	l.begin(r, Finding, f.Time)
	r.Name, r.Finding = f.Name, f
	if dst, err := netip.ParseAddr(f.Dst); err == nil {
		r.Server = netip.AddrPortFrom(dst, 0)
	}
}

// Gap fills in the record of a gap.
func (l *Live) Gap(r *Record, g *record.Gap) {
	l.begin(r, Gap, g.Time)
	r.Gap = g
}

// End fills in the record of the end of a run.
func (l *Live) End(r *Record, e *record.End) {
	l.begin(r, End, e.Time)
	r.End = e
}

func whole(d time.Duration) time.Duration {
	if d < 0 {
		return -1
	}
	return d.Truncate(time.Microsecond)
}

func (r *Record) decision(d *flow.Decision) {
	switch {
	case d == nil:
	case d.Deny:
		r.Verdict, r.Rule, r.Reason = "deny", d.Rule, d.Reason
	default:
		r.Verdict, r.Rule = "allow", d.Rule
	}
}

func (r *Record) opening(o *record.Opening) {
	if o == nil {
		return
	}
	if w := o.Owner; w != nil {
		r.Owner = Owner{true, w.UID, w.User, w.PID, w.Process, w.Exe, w.Unit, w.Container}
	}
	if n := o.Name; n != nil {
		r.Name, r.NameSource = n.Name, n.Source
		r.Names = append(r.Names, n.Others...)
	}
}

func (r *Record) hello(h *flow.Hello) {
	if h != nil {
		r.SNI, r.TLSVersion, r.ECH = h.SNI, h.Version, h.ECH
		r.ALPN = append(r.ALPN, h.ALPN...)
	}
}

func (r *Record) dns(d *flow.DNS) {
	if d == nil {
		return
	}
	r.DNS = true
	for i := range d.Queries {
		r.Queries = append(r.Queries, Question{d.Queries[i].Name, d.Queries[i].Type.String()})
	}
	if d.Response {
		r.RCode = d.RCode.String()
	}
	for i := range d.Answers {
		a := &d.Answers[i]
		r.Answers = append(r.Answers, Answer{a.Name, a.Type.String(), a.Data, a.TTL})
	}
}
