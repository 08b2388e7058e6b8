package compact

import (
	"net/netip"
	"strings"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// Bounds of DNS messages and of first bytes.
const (
	maxQuestions = 256
	maxAnswers   = 4096
	maxData      = 32 << 10 // of a resource record, as text
	maxQuestion  = 32 << 10 // for an owner
	maxALPN      = 64
)

func (c *coder) attributedDatagram(a *record.AttributedDatagram) {
	some(c, &a.Datagram, c.datagram)
	optional(c, &a.Opening, c.opening)
	c.bytes(&a.Question, maxQuestion)
	if len(a.Question) == 0 {
		a.Question = nil
	}
}

func (c *coder) datagram(d *flow.Datagram) {
	c.exchange(d)
	c.time(&d.Time)
	c.integer(&d.Length, maxLength)
	c.addrPort(&d.Upstream)
	c.boolean(&d.Denied)
	optional(c, &d.Decision, c.decision)
	optional(c, &d.DNS, c.dns)
	if d.Time.IsZero() {
		c.fail("a datagram without a time")
	}
}

// exchange is the part of a datagram that the record of the end has too.
func (c *coder) exchange(d *flow.Datagram) {
	oneOf(c, &d.Proto, flow.UDP, flow.ICMP)
	c.ends(&d.Client, &d.Server)
	optional(c, &d.QUIC, c.quic)
}

func (c *coder) attributedFlow(f *record.AttributedFlow) {
	optional(c, &f.Datagram, c.exchange)
	c.ends(&f.Client, &f.Server)
	c.u32(&f.ISN)
	c.u32(&f.ServerISN)
	c.time(&f.Started)
	c.duration(&f.Duration)
	c.u64(&f.Outbound)
	c.u64(&f.Inbound)
	c.u64(&f.Retransmits)
	upTo(c, &f.End, flow.RouterRST)
	optional(c, &f.Hello, c.hello)
	c.text(&f.HTTPHost, maxName)
	optional(c, &f.DNS, c.dns)
	upTo(c, &f.Outcome, flow.NotReachable)
	c.u64(&f.OutboundPackets)
	c.u64(&f.InboundPackets)
	c.boolean(&f.NameConflict)
	if f.Started.IsZero() {
		c.fail("a flow without a time")
	}
}

func (c *coder) hello(h *flow.Hello) {
	c.text(&h.Version, maxWord)
	c.text(&h.SNI, maxName)
	list(c, &h.ALPN, maxALPN, func(s *string) { c.text(s, maxWord) })
	c.boolean(&h.ECH)
}

func (c *coder) quic(q *flow.QUIC) {
	c.text(&q.Version, maxWord)
	optional(c, &q.Hello, c.hello)
	hex, isHex := strings.CutPrefix(q.Version, "0x")
	if isHex && (len(hex) != 8 || !consistsOf(hex, digits+"abcdef")) ||
		!isHex && (q.Version == "" || q.Version[0] == '0' || !consistsOf(q.Version, digits)) {
		c.fail("version %q of QUIC", q.Version)
	}
}

func (c *coder) dns(d *flow.DNS) {
	c.u16(&d.ID)
	c.boolean(&d.Response)
	c.u16((*uint16)(&d.RCode))
	list(c, &d.Queries, maxQuestions, func(q *flow.Question) {
		c.text(&q.Name, maxName)
		c.u16((*uint16)(&q.Type))
	})
	list(c, &d.Answers, maxAnswers, func(r *flow.Record) {
		c.text(&r.Name, maxName)
		c.u16((*uint16)(&r.Type))
		c.u32(&r.TTL)
		c.text(&r.Data, maxData)
	})
}

func (c *coder) finding(f *record.Finding) {
	c.time(&f.Time)
	oneOf(c, &f.Kind, record.BlackHole, record.DNSTunnel)
	oneOf(c, &f.Confidence, record.Medium, record.High)
	oneOf(c, &f.Family, 0, 4, 6)
	oneOf(c, &f.Leg, "", record.ClientLeg)
	c.text(&f.Dst, maxWord)
	c.text(&f.Name, maxName)
	oneOf(c, &f.Direction, "", "up", "down", "both")
	for _, n := range []*int{&f.Passes, &f.Fails, &f.Flows, &f.Clamp} {
		c.integer(n, maxNumber)
	}
	c.boolean(&f.Applied)
	c.time(&f.Expires)
	list(c, &f.Stalls, maxSegments, c.stall)
	if f.Time.IsZero() || (f.Family != 0) != (f.Dst != "") || f.Dst != "" && !isPlace(f.Dst) {
		c.fail("a finding without a time, or at %q of family %d", f.Dst, f.Family)
	}
}

// isPlace reports whether a text is an address or a prefix.
func isPlace(s string) bool {
	_, err := netip.ParsePrefix(s)
	return err == nil || isAddr(s)
}

func isAddr(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.String() == s && a.Zone() == ""
}

func (c *coder) stall(s *record.Stall) {
	c.text(&s.Src, maxWord)
	c.u16(&s.SPort)
	c.text(&s.Dst, maxWord)
	c.u16(&s.DPort)
	c.duration((*time.Duration)(&s.Silent))
	if s.Silent < 0 || !isAddr(s.Src) || !isAddr(s.Dst) {
		c.fail("a stall of %d us between %q and %q", s.Silent, s.Src, s.Dst)
	}
	for _, n := range []*uint32{
		&s.SndMSS, &s.RcvMSS, &s.Unacked, &s.Sacked, &s.Backoff, &s.Retransmits, &s.OutOfOrder,
	} {
		c.u32(n)
	}
	c.u64(&s.Acked)
	c.u64(&s.Received)
	c.u64(&s.Missing)
}

// gap is that of SYNs and datagrams that the router has kept out, or of records that it has lost.
func (c *coder) gap(g *record.Gap) {
	c.time(&g.From)
	c.time(&g.To)
	c.u64(&g.Refused)
	c.u64(&g.Lost)
	oneOf(c, &g.Reason, record.Suspended, record.QueueFull)
	if g.From.IsZero() || g.To.Before(g.From) || (g.Refused > 0) != (g.Reason == record.Suspended) ||
		(g.Lost > 0) != (g.Reason == record.QueueFull) {
		c.fail("a gap of %d packets and %d records", g.Refused, g.Lost)
	}
}
