package tap

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"syntap/tap/handshake"
	"syntap/tap/policy"
	"syntap/tun"
	"syntap/tun/packet"
)

// SetRules replaces the rules for later frames; nil means none.
func (t *Tap) SetRules(r *policy.Rules) {
	if r == nil {
		r = new(policy.Rules)
	}
	t.rules.Store(r)
}

// Rules returns the rules in force, which count their changes. It is never nil.
func (t *Tap) Rules() *policy.Rules { return t.rules.Load() }

// optionRoom is the room in bytes that an added option needs behind the header.
const optionRoom = 4

// rewriteOutbound applies the rules to a segment of the client, which the tracker sees as the
// client sent it. The frame ends with the packet.
func (t *Tap) rewriteOutbound(rules *policy.Rules, s *segment, f *tun.Frame) dropReason {
	sent, shown := f.Head, t.live.Concerns(&s.Packet)
	if shown {
		sent = slices.Clone(f.Head)
	}
	var room [4]policy.Rewrite
	rewritten, done, reason := s.rewrite(rules, room[:0], f.Head, packet.Outbound, t.pathMTU)
	if shown {
		s.Changes = changes(s.Name(), done)
	}
	if reason == pass {
		reason = t.track(s, sent)
	}
	if reason != pass {
		return reason
	}
	t.rewrites.count(s.Flags, done)
	if len(rewritten) != len(f.Head) {
		f.Head = rewritten
		f.Parse()
	}
	return pass
}

// rewriteInbound applies the rules to a packet of the router. It returns the frame after that.
func (t *Tap) rewriteInbound(rules *policy.Rules, s *segment, bufs [][]byte) (
	[][]byte, dropReason,
) {
	if s.Flags&packet.SYN != 0 { // an option may be added
		bufs = [][]byte{slices.Grow(slices.Concat(bufs...), optionRoom)}
	}
	var room [4]policy.Rewrite
	rewritten, done, reason := s.rewrite(rules, room[:0], bufs[0], packet.Inbound, t.pathMTU)
	if reason != pass {
		return nil, reason
	}
	if n := len(rewritten); n != len(bufs[0]) {
		*s.Headers = packet.Headers{}
		s.Parse(rewritten, n)
		bufs[0] = rewritten
	}
	if s.TCP && t.live.Concerns(&s.Packet) {
		s.Changes = changes(s.Name(), done)
	}
	t.rewrites.count(s.Flags, done)
	return bufs, pass
}

// rewriteDatagram applies the df rules to an outbound packet that is no whole TCP segment.
func (t *Tap) rewriteDatagram(rules *policy.Rules, h *packet.Headers, head []byte) dropReason {
	w, verdict := rules.RewriteDF(
		&policy.Packet{Buf: head, Headers: h, Direction: packet.Outbound})
	switch verdict {
	case policy.TooBig:
		// Only IPv4 packets are too big for a rule.
		t.answer(h, head, packet.ICMPUnreachable, packet.ICMPFragmentationNeeded, t.MTU())
		return dropDF
	case policy.Drop:
		return dropDF
	default:
		t.rewrites.countDF(w)
		return pass
	}
}

// rewrite applies the rules to the packet that begins with b and appends the changes to done. It
// returns b after that, which is longer if an option was added.
func (s *segment) rewrite(rules *policy.Rules, done []policy.Rewrite, b []byte, d packet.Direction,
	pathMTU func(client, server netip.AddrPort) packet.MTU,
) ([]byte, []policy.Rewrite, dropReason) {
	p := policy.Packet{Buf: b, Headers: s.Headers, Direction: d, Partial: s.Partial}
	if s.Flags&packet.SYN != 0 && rules.HasMSS() {
		var verdict policy.Verdict
		done, verdict = rules.RewriteMSS(done, &p, func() packet.MTU { return s.pathMTU(d, pathMTU) })
		if verdict != policy.Pass {
			return b, nil, dropOptions
		}
	}
	w, verdict := rules.RewriteDF(&p)
	if verdict != policy.Pass {
		return b, nil, dropDF
	}
	if w.What != "" {
		done = append(done, w)
	}
	return b[:len(p.Buf)], done, pass // returning p.Buf would make the headers escape to the heap
}

// pathMTU returns the MTU of the path to the server of the segment's flow, 0 if it is unknown.
func (s *segment) pathMTU(d packet.Direction,
	ask func(client, server netip.AddrPort) packet.MTU,
) packet.MTU {
	if ask == nil {
		return 0
	}
	client, server := s.Flow.Ends()
	if s.FromA != (d == packet.Outbound) {
		client, server = server, client
	}
	return ask(client, server)
}

// changes describes the changes of a segment for the record of its handshake.
func changes(name string, done []policy.Rewrite) []handshake.Rewrite {
	all := make([]handshake.Rewrite, len(done))
	for i, w := range done {
		all[i] = newRewrite(name, w)
	}
	return all
}

// newRewrite describes a change of a segment, which has a name in records.
func newRewrite(name string, w policy.Rewrite) handshake.Rewrite {
	from, to := w.Words()
	return handshake.Rewrite{Packet: name, What: w.What, From: from, To: to, Rule: w.Rule}
}

// rewriteCounts counts changed packets.
type rewriteCounts struct{ syn, synack, set, clear atomic.Uint64 }

// count counts the changes of a segment with the given flags, or of another packet.
func (c *rewriteCounts) count(flags uint8, done []policy.Rewrite) {
	if slices.ContainsFunc(done, func(w policy.Rewrite) bool { return w.What == "mss" }) {
		if flags&packet.ACK != 0 {
			c.synack.Add(1)
		} else {
			c.syn.Add(1)
		}
	}
	if n := len(done); n > 0 {
		c.countDF(done[n-1])
	}
}

// countDF counts a change of the DF bit; others it ignores.
func (c *rewriteCounts) countDF(w policy.Rewrite) {
	switch {
	case w.What != "df":
	case w.To == 1:
		c.set.Add(1)
	default:
		c.clear.Add(1)
	}
}

func (c *rewriteCounts) snapshot() (mss, df map[string]uint64) {
	return map[string]uint64{"syn": c.syn.Load(), "synack": c.synack.Load()},
		map[string]uint64{"set": c.set.Load(), "clear": c.clear.Load()}
}
