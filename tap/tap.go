package tap

import (
	"cmp"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"syntap/tap/policy"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tap/tracker/tuple"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// shards of a live table: enough that two flows rarely meet at a lock.
const shards = 32

// Tap is a link that wraps another one and sees every TCP handshake. It passes on only frames that
// it has parsed completely. It drops and counts frames that it could not parse or not record.
//
// Over a link of several queues there is a Tap for each. They share the table of handshakes, so a
// segment may come by any queue.
type Tap struct {
	*shared

	link   tun.Link // this queue
	drops  dropCounts
	passed atomic.Uint64
	others []*Tap // further queues
}

// shared is for all queues of a tap.
type shared struct {
	live      live
	sources   func(netip.Addr) bool
	local     func(netip.Addr) bool
	admission func(time.Time) flow.Admission
	now       func() time.Time

	rules    atomic.Pointer[policy.Rules] // never nil
	pathMTU  func(client, server netip.AddrPort) packet.MTU
	rewrites rewriteCounts
	answers  *rate.Limiter // of the tap's own ICMP errors
}

var _ tun.MultiQueue = (*Tap)(nil)

// Wrap puts a tap over a link, and over each of its queues. Run must run meanwhile.
func Wrap(link tun.Link, o Options) *Tap {
	t := &Tap{link: link, shared: &shared{
		sources: o.Sources, local: o.Local, admission: o.Admission, now: o.Now,
		pathMTU: o.PathMTU, answers: rate.NewLimiter(answersPerSecond, answersPerSecond),
	}}
	for _, queue := range tun.Queues(link)[1:] {
		t.others = append(t.others, &Tap{link: queue, shared: t.shared})
	}
	if t.now == nil {
		t.now = time.Now
	}
	t.SetRules(o.Rules)
	l := &t.live
	l.begun, l.renewals = make(chan struct{}, 1), make([]renewal, renewals)
	l.sources = &sources{flows: make(map[netip.Prefix]int)}
	h := tracker.Options{
		OnRecord: o.OnRecord, OnSegment: o.OnSegment, HalfOpen: -1, Shards: shards, Live: true,
		Linger: l.linger, Counted: l.sources.counted,
	}
	l.limits, h.Limits = o.limits()
	l.Tracker = tracker.New(h)
	return t
}

// Queues implements tun.MultiQueue.
func (t *Tap) Queues() []tun.Link {
	all := []tun.Link{t}
	for _, o := range t.others {
		all = append(all, o)
	}
	return all
}

// MTU implements tun.Link.
func (t *Tap) MTU() int { return t.link.MTU() }

// NotifyIdle implements tun.IdleNotifier where the link does.
func (t *Tap) NotifyIdle(f func()) bool {
	idle, ok := t.link.(tun.IdleNotifier)
	return ok && idle.NotifyIdle(f)
}

// Idle implements tun.IdleNotifier; it is true where the link cannot tell.
func (t *Tap) Idle() bool {
	idle, ok := t.link.(tun.IdleNotifier)
	return !ok || idle.Idle()
}

// ReadUpTo implements tun.IdleNotifier; it is now where the link cannot tell.
func (t *Tap) ReadUpTo() time.Time {
	if idle, ok := t.link.(tun.IdleNotifier); ok {
		return idle.ReadUpTo()
	}
	return t.now()
}

// Close implements tun.Link.
func (t *Tap) Close() error { return t.link.Close() }

// ReadFrame implements tun.Link: it returns the next outbound frame that may enter the router.
// f.Head must have at least tun.HeadSize bytes; TCP headers that do not fit are refused.
func (t *Tap) ReadFrame(f *tun.Frame) error {
	head, body := f.Head, f.Body
	for {
		f.Head, f.Body = head, body
		if err := t.link.ReadFrame(f); err != nil {
			return err
		}
		f.Head = f.Head[:len(f.Head):len(head)] // an option may be added within the buffer
		reason := t.outbound(f)
		if reason == pass {
			t.passed.Add(1)
			return nil
		}
		t.drops[reason].Add(1)
		if reason == dropRefused {
			t.refuse(&f.Headers, f.Head)
		}
	}
}

// outbound decides whether a frame may pass. It cuts off bytes beyond the end that the IP header
// claims, which netstack would take for payload, and removes extension headers in front of TCP.
func (t *Tap) outbound(f *tun.Frame) dropReason {
	h := &f.Headers
	rules := t.rules.Load()
	if h.Problem != packet.NoProblem {
		if h.Problem == packet.TCPFragment { // a rule may have it answered, too
			return cmp.Or(t.rewriteDatagram(rules, h, f.Head), dropFragment)
		}
		return dropProblems[h.Problem]
	}
	if !h.TCP {
		if aboutTCP(h, f.Head) {
			// Netstack believes such an error from any sender (RFC 5927).
			return dropICMP
		}
		return t.rewriteDatagram(rules, h, f.Head)
	}
	if f.Len() > h.Length {
		f.Truncate(h.Length)
	}
	s := segment{Packet: tuple.Packet{Headers: h}}
	s.Locate(f.Head, packet.Outbound)
	if !s.verify(f) {
		return dropChecksum
	}
	if s.Flags&packet.SYN != 0 {
		if r := t.admit(&s, f.Head); r != pass {
			return r
		}
	}
	var reason dropReason
	if rules.HasDF() || s.Flags&packet.SYN != 0 && rules.HasMSS() {
		reason = t.rewriteOutbound(rules, &s, f)
	} else {
		reason = t.track(&s, f.Head)
	}
	if reason == pass && s.Offset != s.HeaderLen {
		unwrap(f)
	}
	return reason
}

// verify checks the checksums of the segment in f, except one that the sender has left to the
// receiver, and notes in f that the TCP checksum is right: no reader sums again.
func (s *segment) verify(f *tun.Frame) bool {
	if s.Version == 4 && !packet.IPv4HeaderIntact(f.Head[:s.HeaderLen]) {
		return false
	}
	off := &f.Offload
	if off.Flags&tun.NeedsCsum != 0 {
		s.Partial = true
		return int(off.CsumStart) == s.Offset && off.CsumOffset == packet.TCPChecksum
	}
	if off.Flags&tun.DataValid != 0 {
		return true
	}
	off.Flags |= tun.DataValid
	return s.ChecksumOK(f.Head, f.Body)
}

// WriteFrame implements tun.Link.
func (t *Tap) WriteFrame(off tun.Offload, bufs [][]byte) error {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	var h packet.Headers
	s := segment{Packet: tuple.Packet{Headers: &h}}
	if n > 0 {
		s.Parse(bufs[0], n)
	}
	if s.TCP {
		s.Locate(bufs[0], packet.Inbound)
	}
	s.Partial = s.TCP && off.Flags&tun.NeedsCsum != 0
	rules := t.rules.Load()
	if n > 0 && (rules.HasDF() || s.Flags&packet.SYN != 0 && rules.HasMSS()) {
		var reason dropReason
		if bufs, reason = t.rewriteInbound(rules, &s, bufs); reason != pass {
			t.drops[reason].Add(1)
			return nil
		}
	}
	switch {
	case s.TCP:
		t.track(&s, bufs[0])
	case s.Proto == packet.ProtoICMP || s.Proto == packet.ProtoICMPv6:
		t.inboundICMP(&h, bufs)
	}
	return t.link.WriteFrame(off, bufs)
}

// inboundICMP takes an error of the router. Its quote, of which the first bytes matter, may stand
// in a later buffer.
func (t *Tap) inboundICMP(h *packet.Headers, bufs [][]byte) {
	b := make([]byte, 0, 2*tun.HeadSize)
	for _, buf := range bufs {
		b = append(b, buf[:min(len(buf), cap(b)-len(b))]...)
	}
	if _, _, _, ok := h.ICMPErrorOf(b); ok {
		t.live.Unreachable(h, b, t.now())
	}
}

// track hands a segment to the tracker if it concerns a handshake.
func (t *Tap) track(s *segment, head []byte) dropReason {
	if !t.live.Concerns(&s.Packet) {
		return pass
	}
	seen := tcpdump.Packet{Data: head, Length: s.Length, EtherType: 0x0800}
	if s.Version == 6 {
		seen.EtherType = 0x86dd
	}
	return t.live.track(s, &seen, t.now())
}

// Flush ends every open handshake as half_open or no_reply. It is for the end, after Close.
func (t *Tap) Flush() { t.live.Flush() }
