package compact

import (
	"math"
	"strconv"
	"strings"

	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Bounds of texts, in bytes, and of lists. Names of the DNS have at most 255 characters, each of
// which takes up to four as text (RFC 1035 §5.1).
const (
	maxWord     = 256     // rules, reasons, errors, names of users, programs and units
	maxPath     = 4096    // of files (PATH_MAX)
	maxName     = 1024    // of servers
	maxNames    = 64      // of one server, besides
	maxSegments = 64      // of a handshake (tap/tracker)
	maxRewrites = 256     // of a handshake
	maxNumber   = 1 << 30 // of counts that are ints
	maxLength   = 1 << 24 // of packets and datagrams, in bytes
)

var outcomes = handshake.Outcomes()

func (c *coder) attributed(a *record.Attributed) {
	some(c, &a.Record, c.handshake)
	optional(c, &a.Opening, c.opening)
}

func (c *coder) handshake(r *handshake.Record) {
	c.time(&r.Time)
	oneOf(c, &r.Outcome, outcomes...)
	oneOf(c, &r.AbortedBy, "", handshake.Client, handshake.Server)
	c.ends(&r.Client, &r.Server)
	c.u32(&r.ClientISN)
	c.u32(&r.ServerISN)
	c.offer(&r.SYN)
	optional(c, &r.SYNACK, c.offer)
	c.integer(&r.SYNRetransmits, maxNumber)
	c.integer(&r.SYNACKRetransmits, maxNumber)
	c.boolean(&r.Simultaneous)
	c.boolean(&r.ISNFromData)
	upTo(c, &r.Conflict, handshake.ConflictRST|handshake.ConflictSYN)
	c.u16(&r.Copies)
	c.u16(&r.Answers)
	c.duration(&r.SYNACKDelay)
	c.duration(&r.ACKDelay)
	c.began = r.Time
	list(c, &r.Segments, maxSegments, c.segment)
	list(c, &r.Rewrites, maxRewrites, c.rewrite)
	optional(c, &r.Upstream, c.upstream)
	if r.Time.IsZero() || r.AbortedBy != "" && r.Outcome != handshake.Aborted {
		c.fail("a handshake without a time, or aborted and not")
	}
}

func (c *coder) offer(o *handshake.Offer) {
	c.u16(&o.Window)
	optional(c, &o.MSS, c.u16)
	optional(c, &o.WScale, c.u8)
	c.boolean(&o.SACKOK)
	optional(c, &o.Timestamp, c.u32)
	c.boolean(&o.DF)
	c.u8(&o.TTL)
	c.boolean(&o.ECN)
}

// segment is one of a live link: its packet has no link layer.
func (c *coder) segment(s *handshake.Segment) {
	at := s.Time
	if !c.reading && !c.began.IsZero() {
		at = c.began.Add(s.Time.Sub(c.began)) // the host's clock may have been set since
	}
	if c.time(&at); c.reading {
		s.Time = at
	}
	c.bytes(&s.Packet.Data, handshake.MaxHeaders)
	c.integer(&s.Packet.Length, maxLength)
	c.boolean(&s.FromClient)
	c.u16(&s.TCP)
	c.u32(&s.Payload)
	if s.Time.IsZero() || len(s.Packet.Data) == 0 {
		c.fail("a segment without time or bytes")
	}
}

func (c *coder) rewrite(w *handshake.Rewrite) {
	oneOf(c, &w.Packet, "syn", "synack", "ack", "rst")
	oneOf(c, &w.What, "mss", "df")
	c.text(&w.From, maxWord)
	c.text(&w.To, maxWord)
	c.integer(&w.Rule, maxNumber)
	if !isValue(w.From) && w.From != "none" || !isValue(w.To) || w.Rule == 0 {
		c.fail("rule %d rewrites %q to %q", w.Rule, w.From, w.To)
	}
}

// isValue reports whether a text is a value of a rewrite: bytes, or a word of the DF bit.
func isValue(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return s == "set" || s == "clear" || err == nil && strconv.FormatUint(n, 10) == s
}

func (c *coder) upstream(u *flow.Upstream) {
	c.addrPort(&u.Local)
	c.addrPort(&u.Remote)
	c.duration(&u.DialTime)
	mss := int(u.MSS)
	if c.integer(&mss, math.MaxUint16); c.reading {
		u.MSS = packet.MSS(mss)
	}
	c.text(&u.Error, maxWord)
	optional(c, &u.Decision, c.decision)
	if u.Error != "" && (u.Error[0] != 'E' || len(u.Error) == 1 || !consistsOf(u.Error, capitals+digits)) {
		c.fail("the error %q", u.Error)
	}
}

const capitals, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"

// consistsOf reports whether all characters of a text are among some.
func consistsOf(s, characters string) bool { return strings.Trim(s, characters) == "" }

func (c *coder) decision(d *flow.Decision) {
	c.boolean(&d.Deny)
	c.text(&d.Rule, maxWord)
	c.text(&d.Reason, maxPath)
	c.boolean(&d.OnlyDNS)
	c.boolean(&d.ByName)
	if d.Rule == "" {
		c.fail("a decision without a rule")
	}
}

// opening is the part of it that the record has.
func (c *coder) opening(o *record.Opening) {
	optional(c, &o.Owner, c.owner)
	optional(c, &o.Name, c.name)
}

func (c *coder) owner(o *record.Owner) {
	c.u32(&o.UID)
	c.text(&o.User, maxWord)
	c.integer(&o.PID, maxNumber)
	c.text(&o.Process, maxWord)
	c.text(&o.Exe, maxPath)
	c.text(&o.Unit, maxWord)
	c.text(&o.Container, maxWord)
}

func (c *coder) name(n *record.Name) {
	c.text(&n.Name, maxName)
	oneOf(c, &n.Source, "dns", "hosts", "virtual")
	list(c, &n.Others, maxNames, func(s *string) { c.text(s, maxName) })
	if n.Name == "" {
		c.fail("a name without characters")
	}
}
