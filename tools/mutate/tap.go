package main

// tracker has the mutations of package tap and its tracker.
func tracker() []mutation {
	list := []mutation{
		{
			behaviour: "a RST of the client ends a handshake only with the right number",
			old:       `case h.fromClient(p) && p.Seq == h.resetNumber():`,
			new:       `case h.fromClient(p):`,
		},
		{
			behaviour: "a third segment needs the timestamp that was agreed on",
			old:       ` && e.LacksTimestamp(&s.Packet, seen)`,
			new:       ` && false`,
		},
		{
			behaviour: "a client's SYN-ACK does not enter the router",
			old:       `return dropSYNACK`,
			new:       `return pass`,
		},
		{
			behaviour: "a SYN to its own address does not enter the router",
			old:       `return dropLand`,
			new:       `return pass`,
		},
		{
			behaviour: "a SYN of an unspecified address does not enter the router",
			old:       `if a.IsUnspecified() || `,
			new:       `if `,
		},
		{
			behaviour: "a segment with a wrong checksum does not enter the router",
			old:       `return dropChecksum`,
			new:       `_ = dropChecksum`,
		},
		{
			behaviour: "the segments of a handshake are seen, not only SYN and RST",
			old:       `return p.Flags&(packet.SYN|packet.RST) != 0 || t.filter.Has(p.Hash)`,
			new:       `return p.Flags&(packet.SYN|packet.RST) != 0`,
		},
		{
			behaviour: "a server that answers wrongly is not one that has answered",
			old:       `return p.Flags&packet.ACK != 0 && packet.SeqWithin(h.iss, p.Ack, h.cEnd)`,
			new:       `return p.Flags&packet.ACK != 0`,
		},
		{
			behaviour: "the time to an answer is not measured from a repeated SYN",
			old:       `if h.rec.SYNRetransmits == 0 {`,
			new:       `if true {`,
		},
		{
			behaviour: "a refused client is told so",
			old:       `if reason == dropRefused {`,
			new:       `if false {`,
		},
		{
			behaviour: "the packet that crosses is as long as its IP header says",
			old:       `f.Truncate(h.Length)`,
		},
	}
	return with(list, "tap", inTap)
}

// rules has the mutations of package tap/policy.
func rules() []mutation {
	list := []mutation{
		{
			behaviour: "an MSS is lowered, never raised",
			old:       `packet.MSS(old) > limit {`,
			new:       `packet.MSS(old) != limit {`,
		},
		{
			behaviour: "an MSS that is there is not added again",
			old:       `if !found && c.rule.Add {`,
			new:       `if found = false; !found && c.rule.Add {`,
		},
		{
			behaviour: "an added MSS is at most the default of IPv6",
			old:       `min(limit, defaultMSS6)`,
			new:       `min(limit, 0xffff+defaultMSS6-defaultMSS6)`,
		},
		{
			behaviour: "a path narrower than the TUN counts",
			old:       `(path < mtu || mtu == 0)`,
			new:       `mtu == 0`,
		},
		{
			behaviour: "a packet that may be fragmented has an identification",
			old:       `max(1, r.o.RandomID())`,
			new:       `r.o.RandomID()`,
		},
		{
			behaviour: "only the first fragment is answered",
			old:       `if p.Headers.Fragment == packet.LaterFragment {`,
			new:       `if false {`,
		},
		{
			behaviour: "port ranges that touch are one",
			old:       `<= int(merged[last].Last)+1 {`,
			new:       `<= int(merged[last].Last) {`,
		},
		{
			behaviour: "a rule is shadowed by one for all its directions",
			old:       `if o.direction&^m.direction != 0 || `,
			new:       `if `,
		},
		{
			behaviour: "a malformed option is found",
			old:       `if length > len(options) {`,
			new:       `if false {`,
		},
	}
	return with(list, "tap/policy", inPolicy)
}

// headers has the mutations of package tun/packet.
func headers() []mutation {
	list := []mutation{
		{
			behaviour: "TCP in fragments does not enter the router",
			old:       `if h.Fragment == FirstFragment {`,
			new:       `if false {`,
		},
		{
			behaviour: "a later fragment that may hold TCP does not enter the router",
			old:       `if next == ProtoTCP || h.Version == 6 && isExtension(next) {`,
			new:       `if next == ProtoTCP {`,
		},
		{
			behaviour: "TCP behind an odd extension header does not enter the router",
			old:       `if odd && h.Proto == ProtoTCP {`,
			new:       `if false {`,
		},
		{
			behaviour: "an option that a host must know is odd",
			old:       `options[0]&action != 0 || `,
		},
		{
			behaviour: "extension headers end within their packet",
			old:       `if h.Offset > h.Length {`,
			new:       `if false {`,
		},
		{
			behaviour: "a SYN with FIN or RST does not enter the router",
			old:       `case flags&SYN != 0 && flags&(FIN|RST) != 0:`,
			new:       `case false:`,
		},
		{
			behaviour: "a UDP checksum does not cover the bytes behind the datagram",
			old:       `UDPHeaderLen <= claimed && claimed < length`,
			new:       `false`,
		},
		{
			behaviour: "an ICMP error is no longer than every host takes",
			old:       `longest-ipLen-ICMPHeaderLen`,
			new:       `longest+ipLen`,
		},
		{
			behaviour: "an IPv6 MSS leaves room for the longer header",
			old:       `headers = IPv6HeaderLen + TCPHeaderLen`,
			new:       `headers += 0`,
		},
	}
	return with(list, "tun/packet", inPacket)
}
