package tuple

import (
	"encoding/binary"

	"syntap/tap/handshake"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Packet is a packet with its flow, as a tracker takes it. It refers to the bytes of the packet by
// offset only, so that it costs no allocation.
type Packet struct {
	*packet.Headers

	Flow    Key                 // valid after Locate
	FromA   bool                // the sender is end a of Flow
	Partial bool                // the checksum field holds the sum of the pseudo-header only
	Local   bool                // the client is a program on this host; for wrappers
	Changes []handshake.Rewrite // by rules, for the record

	Hash uint64 // of Flow; set by the tracker. Peers cannot compute it
}

// Locate finds the flow of a packet of a live link. head holds its first bytes, and the headers are
// parsed. End a of the flow is the client.
func (p *Packet) Locate(head []byte, d packet.Direction) {
	p.locate(head, d == packet.Outbound, false)
}

// LocateCaptured finds the flow of a captured packet whose headers are parsed. A capture has no
// directions: end a of the flow is the lesser one. VLANs are no part of a flow: the two directions
// of a connection often have different tags.
func (p *Packet) LocateCaptured(head []byte) {
	p.locate(head, false, true)
}

// locate sets the key from the addresses in head and the ports. The sender is end a if fromA, or,
// with byOrder, if it is the lesser end.
func (p *Packet) locate(head []byte, fromA, byOrder bool) {
	be := binary.BigEndian
	var src, dst address
	if p.Version == 4 {
		h := (*[packet.IPv4HeaderLen]byte)(head)
		src.lo, dst.lo = uint64(be.Uint32(h[12:])), uint64(be.Uint32(h[16:]))
	} else {
		h := (*[packet.IPv6HeaderLen]byte)(head)
		src.hi, src.lo = be.Uint64(h[8:]), be.Uint64(h[16:])
		dst.hi, dst.lo = be.Uint64(h[24:]), be.Uint64(h[32:])
	}
	ports := uint32(p.SrcPort)<<16 | uint32(p.DstPort)
	p.FromA = fromA || byOrder && ordered(src, dst, ports)
	if !p.FromA {
		src, dst, ports = dst, src, ports<<16|ports>>16
	}
	k := &p.Flow // word by word: assigned as a whole it would be copied, at twice the cost
	k.a.hi, k.a.lo = src.hi, src.lo
	k.b.hi, k.b.lo = dst.hi, dst.lo
	k.ports, k.space = ports, uint32(p.Version)
}

// Named returns a packet without headers of the flow that a handshake of a live link belongs to.
func Named(k flow.Key) Packet { return Packet{Flow: newKey(k)} }

// Name returns the word of records for a TCP segment: syn, synack, rst or ack.
func (p *Packet) Name() string {
	switch {
	case p.Flags&packet.RST != 0:
		return "rst"
	case p.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK:
		return "synack"
	case p.Flags&packet.SYN != 0:
		return "syn"
	}
	return "ack"
}
