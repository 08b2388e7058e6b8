package policy

import (
	"encoding/binary"
	"net/netip"
)

// Fields of an IPv4 header (RFC 791 §3.1).
const (
	ipv4ID    = 4
	ipv4Flags = 6 // and the fragment offset

	dontFragment   = 0x4000
	moreFragments  = 0x2000
	fragmentOffset = 0x1fff
)

// RewriteDF applies the first matching df rule to the packet that begins with b, and returns what
// it has changed, if anything. Only the IPv4 header and the ports behind it need to be there; what
// is not IPv4 passes as it is. Super-segments are like other packets: whoever cuts them gives the
// pieces the same bit and counts their identification up.
func (r *Rules) RewriteDF(b []byte, d Direction) (Rewrite, Verdict) {
	if !r.HasDF() || len(b) < 20 || b[0]>>4 != 4 {
		return Rewrite{}, Pass
	}
	flags := binary.BigEndian.Uint16(b[ipv4Flags:])
	client, server := ends(b, ipv4Ports(b, flags), d)
	c := r.df.find(client, server, d)
	if c == nil || c.rule.Policy == PreserveDF {
		return Rewrite{}, Pass
	}
	fragment := flags&(moreFragments|fragmentOffset) != 0
	if fragment && c.rule.Policy == EnforceDF && d == Outbound {
		c.hits.Add(1)
		if flags&fragmentOffset != 0 { // only the first fragment is answered (RFC 1122 §3.2.2)
			return Rewrite{}, Drop
		}
		return Rewrite{}, TooBig
	}

	from, to := flags&dontFragment/dontFragment, uint16(1)
	if c.rule.Policy == ClearDF {
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

// ipv4Ports returns the offset of a packet's ports, or 0 where b shows none.
func ipv4Ports(b []byte, flags uint16) int {
	const tcp, udp = 6, 17
	offset := int(b[0]&15) * 4
	if b[9] != tcp && b[9] != udp || flags&fragmentOffset != 0 || offset < 20 || len(b) < offset+4 {
		return 0
	}
	return offset
}

// UpstreamDF returns what the host socket of a flow is to do about the don't-fragment bit
// (IP_MTU_DISCOVER). PreserveDF leaves it to the kernel. A flow without ports has the port 0.
func (r *Rules) UpstreamDF(client, server netip.AddrPort) DFPolicy {
	if c := r.df.find(client, server, Outbound); c != nil {
		return c.rule.Policy
	}
	return PreserveDF
}
