package tap

import (
	"net/netip"
	"slices"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/policy"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

// Replay passes the packets of a capture through rules and a [tracker.Tracker], as a Tap does with
// the frames of a link. It drops nothing. It serves one goroutine.
type Replay struct {
	tracker *tracker.Tracker
	rules   *policy.Rules
	pathMTU func(client, server netip.AddrPort) packet.MTU
	clients map[tuple.Key]bool // whether end a is the client
	buf     []byte
}

// Passed is a packet of a capture as the tap would have passed it on.
type Passed struct {
	Data     []byte              // from the IP header on, with the bytes behind the packet; valid until the next one
	Length   int                 // bytes on the wire from the IP header on
	Rewrites []handshake.Rewrite // without the name of a segment if the packet is not TCP
	Refused  string              // why a rule would have dropped it; empty if none would
}

// maxClients bounds a Replay's memory to some 20 MB. A Replay with so many forgets all of them.
const maxClients = 128 << 10

// MaxBetweenPorts bounds the attempts without a verdict that a Replay follows between the same
// ports.
const MaxBetweenPorts = tracker.MaxFormer

// NewReplay returns a replay with the rules of o, whose OnRecord and OnSegment receive handshakes.
func NewReplay(o Options) *Replay {
	r := &Replay{
		tracker: tracker.New(tracker.Options{
			OnRecord: o.OnRecord, OnSegment: o.OnSegment, HalfOpen: o.MaxOpen,
		}),
		rules: o.Rules, pathMTU: o.PathMTU, clients: make(map[tuple.Key]bool),
	}
	if r.rules == nil {
		r.rules = new(policy.Rules)
	}
	return r
}

// Pass takes the next packet, which stays the caller's.
func (r *Replay) Pass(at time.Time, p *tcpdump.Packet) Passed {
	var h packet.Headers
	s := captured(&h, p)
	if s.Version == 0 || s.Length < packet.IPv4HeaderLen || !r.rules.HasMSS() && !r.rules.HasDF() {
		r.tracker.ObserveParsed(at, &s.Packet, p)
		return Passed{Data: p.Data, Length: p.Length}
	}
	d := r.direction(&s, p)
	passed, done := r.rewrite(&s, p, d)
	seen := *p
	if d == packet.Inbound { // as it stands on the TUN
		seen.Data, seen.Length = passed.Data, passed.Length
		h = packet.Headers{}
		s = captured(&h, &seen)
	}
	s.Changes = changes(s.Name(), done)
	r.tracker.ObserveParsed(at, &s.Packet, &seen)
	return passed
}

// captured returns a captured packet with its headers in h, which are zero.
func captured(h *packet.Headers, p *tcpdump.Packet) segment {
	h.Parse(p.Data, p.Length)
	s := segment{Packet: tuple.Packet{Headers: h}}
	if h.TCP {
		s.LocateCaptured(p.Data)
	}
	return s
}

// rewrite applies the rules to a copy of the packet. Bytes behind the packet stay behind it.
func (r *Replay) rewrite(s *segment, p *tcpdump.Packet, d packet.Direction) (
	Passed, []policy.Rewrite,
) {
	r.buf = slices.Grow(append(r.buf[:0], p.Data...), optionRoom)
	end := min(s.Length, len(p.Data))
	rewritten, done, reason := s.rewrite(r.rules, nil, r.buf[:end], d, r.pathMTU)
	passed := Passed{
		Data: append(rewritten, p.Data[end:]...), Length: p.Length + len(rewritten) - end,
	}
	if reason != pass {
		passed.Refused = reason.String()
	}
	for _, w := range done {
		name := ""
		if s.TCP {
			name = s.Name()
		}
		passed.Rewrites = append(passed.Rewrites, newRewrite(name, w))
	}
	return passed, done
}

// Flush ends every open handshake as half_open or no_reply, in the order of their first SYNs.
func (r *Replay) Flush() { r.tracker.Flush() }

// Settle hands out the verdicts that later packets might change; see [tracker.Tracker.Settle].
func (r *Replay) Settle() { r.tracker.Settle() }

// Stats returns the counters of handshakes.
func (r *Replay) Stats() tracker.Stats { return r.tracker.Stats() }

// direction says which way a packet goes. The client of a conversation is the sender of its SYN, or
// else of its first packet.
func (r *Replay) direction(s *segment, p *tcpdump.Packet) packet.Direction {
	if !s.TCP { // it has no key yet
		s.LocateCaptured(p.Data)
	}
	clientIsA, known := r.clients[s.Flow]
	switch {
	case s.Flags&(packet.SYN|packet.ACK) == packet.SYN:
		clientIsA, known = s.FromA, false
	case known:
	case s.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK:
		clientIsA = !s.FromA
	default:
		clientIsA = s.FromA
	}
	if !known {
		if len(r.clients) >= maxClients {
			clear(r.clients)
		}
		r.clients[s.Flow] = clientIsA
	}
	if s.FromA == clientIsA {
		return packet.Outbound
	}
	return packet.Inbound
}
