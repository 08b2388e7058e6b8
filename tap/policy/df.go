package policy

import (
	"encoding/binary"
	"net/netip"

	"syntap/tun/packet"
)

// Fields of an IPv4 header (RFC 791 §3.1).
const (
	ipv4ID    = 4
	ipv4Flags = 6 // and the fragment offset

	dontFragment = 0x4000
)

// RewriteDF applies the first matching df rule to a packet and returns the change, if any. p.Buf
// needs to hold the IPv4 header only; packets of IPv6 pass as they are. GSO packets are like other
// packets: the packets that they are cut into get the same bit and identifications that count up.
func (r *Rules) RewriteDF(p *Packet) (Rewrite, Verdict) {
	if !r.HasDF() || p.Headers.Version != 4 {
		return Rewrite{}, Pass
	}
	client, server := p.ends()
	c := r.df.find(client, server, p.Direction)
	if c == nil || c.rule.Policy == packet.PreserveDF {
		return Rewrite{}, Pass
	}
	fragment := p.Headers.Fragment != packet.Whole
	if fragment && c.rule.Policy == packet.EnforceDF && p.Direction == packet.Outbound {
		c.hits.Add(1)
		if p.Headers.Fragment == packet.LaterFragment {
			return Rewrite{}, Drop // only the first fragment is answered (RFC 1122 §3.2.2)
		}
		return Rewrite{}, TooBig
	}

	b := p.Buf
	flags := binary.BigEndian.Uint16(b[ipv4Flags:])
	from, to := flags&dontFragment/dontFragment, uint16(1)
	if c.rule.Policy == packet.ClearDF {
		to = 0
	}
	if from == to {
		return Rewrite{}, Pass
	}
	putIPv4(b, ipv4Flags, flags^dontFragment)
	// Packets that may be fragmented need identifications that differ (RFC 6864 §4.1); a fragment
	// has to keep the one of its siblings.
	if to == 0 && !fragment && binary.BigEndian.Uint16(b[ipv4ID:]) == 0 {
		putIPv4(b, ipv4ID, max(1, r.o.RandomID()))
	}
	c.hits.Add(1)
	return Rewrite{What: "df", From: int(from), To: int(to), Rule: c.number}, Pass
}

// UpstreamDF returns the policy for the don't-fragment bit of a flow's host socket
// (IP_MTU_DISCOVER). PreserveDF leaves the bit to the kernel. A flow without ports has the port 0.
func (r *Rules) UpstreamDF(client, server netip.AddrPort) packet.DF {
	if c := r.df.find(client, server, packet.Outbound); c != nil {
		return c.rule.Policy
	}
	return packet.PreserveDF
}
