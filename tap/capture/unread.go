package capture

import (
	"encoding/binary"

	"syntap/tun/packet"
)

// unreadFrames names frames by their EtherType that may hold IP packets, and that this package does
// not look into.
var unreadFrames = map[uint16]string{
	0x22f3: "TRILL frames",
	0x4305: "frames of batman-adv",
	0x88e5: "MACsec frames",
	0x88e7: "frames of a provider backbone (802.1ah)",
	0x8903: "FabricPath frames",
	0x8909: "frames with Cisco metadata",
	0x8926: "frames with a VN-Tag",
	0x894f: "NSH frames",
}

// unreadTunnels names packets by their protocol number (IANA) that hold others, and that Inner does
// not look into.
var unreadTunnels = map[uint8]string{
	50:  "packets in ESP",
	97:  "packets in EtherIP",
	108: "packets in IPComp",
	115: "packets in L2TP",
	137: "packets in MPLS over IP",
}

// UDP ports of tunnels that Inner does not look into (IANA).
const (
	portL2TP      = 1701
	portGTPU      = 2152
	portTeredo    = 3544
	portLISP      = 4341
	portESP       = 4500
	portGRE       = 4754
	portMPLS      = 6635
	portTZSP      = 37008
	portGUE       = 6080
	portWireGuard = 51820 // its own choice
)

// Unread names the content of a packet that may belong to a handshake and is not looked into, in
// the plural: a frame or a packet in a tunnel that Inner does not take off, or a segment whose
// header stands in several fragments or was not captured. It is empty for other packets.
func (p *Packet) Unread() string {
	b := p.Network[:min(len(p.Network), max(0, p.NetworkLength))]
	switch {
	case p.unread != "":
		return p.unread
	case len(b) == 0, hasTCPHeader(b):
		return ""
	}
	var h packet.Headers
	h.Parse(b, p.NetworkLength)
	switch {
	case h.TCP, h.Fragment == packet.LaterFragment:
		return ""
	case len(b) < p.NetworkLength && (h.Version == 0 || !h.Upper || h.Proto == packet.ProtoTCP):
		return "packets whose headers were not captured"
	case h.Proto == packet.ProtoTCP && h.Upper && len(b) >= h.Offset+packet.TCPHeaderLen:
		return "TCP segments whose data offset lies in their header"
	case h.Proto == packet.ProtoTCP && h.Fragment == packet.FirstFragment:
		return "TCP segments whose headers stand in several fragments"
	case h.Upper && h.Offset < min(len(b), h.Length):
		return unreadTunnel(h.Proto, h.SrcPort, h.DstPort, b[h.Offset:min(len(b), h.Length)])
	}
	return ""
}

// hasTCPHeader reports at little cost whether nearly every segment has its header where it is
// looked for: behind an IP header without extension headers, in an unfragmented packet.
func hasTCPHeader(b []byte) bool {
	switch {
	case b[0]>>4 == 4 && len(b) >= packet.IPv4HeaderLen && b[9] == packet.ProtoTCP:
		return b[6]&0x3f|b[7] == 0 && isTCPHeader(b, int(b[0]&15)*4)
	case b[0]>>4 == 6 && len(b) >= packet.IPv6HeaderLen && b[6] == packet.ProtoTCP:
		return isTCPHeader(b, packet.IPv6HeaderLen)
	}
	return false
}

func isTCPHeader(b []byte, at int) bool {
	return len(b) >= at+packet.TCPHeaderLen && b[at+packet.TCPDataOffset]>>4 >= packet.TCPHeaderLen/4
}

// unreadTunnel is Unread for the upper layer of an IP packet.
func unreadTunnel(proto uint8, from, to uint16, b []byte) string {
	switch {
	case proto == packet.ProtoUDP && len(b) >= packet.UDPHeaderLen+8:
		return unreadUDP(from, to, b[packet.UDPHeaderLen:])
	case proto == protoGRE && len(b) >= 4: // a form that Inner does not know, or a packet of WCCP
		const routing, version, wccp = 0x40, 0x07, 0x883e
		if b[0]&routing != 0 || b[1]&version > 1 || binary.BigEndian.Uint16(b[2:]) == wccp {
			return "packets in GRE of another form"
		}
	}
	return unreadTunnels[proto]
}

// unreadUDP is Unread for the payload of a datagram. Any program may use the port of a tunnel, so
// that the payload has to look like it.
func unreadUDP(from, to uint16, b []byte) string {
	be, length := binary.BigEndian, len(b)
	switch {
	case to == portGTPU && b[0]&0xf0 == 0x30 && b[1] == 255: // 3GPP TS 29.281 §5.1
		return "packets in GTP-U"
	case to == portL2TP && b[0]&0x80 == 0 && (b[1]&0x0f == 2 || b[1]&0x0f == 3): // RFC 2661 §3.1
		return "packets in L2TP"
	case (to == portTeredo || from == portTeredo) && b[0]>>4 == 6: // RFC 4380 §5.1.1
		return "packets in Teredo"
	case to == portLISP && (b[8%length]>>4 == 4 || b[8%length]>>4 == 6): // RFC 9300 §5.1
		return "packets in LISP"
	case (to == portESP || from == portESP) && be.Uint32(b) != 0: // RFC 3948 §2.1
		return "packets in ESP"
	case (to == portWireGuard || from == portWireGuard) && be.Uint32(b) == 0x04000000: // its protocol, §5.4.6
		return "packets in WireGuard"
	case to == portGRE && b[1]&7 == 0: // RFC 8086
		return "packets in GRE over UDP"
	case to == portMPLS: // RFC 7510
		return "packets in MPLS over UDP"
	case to == portGUE && b[0]&0xe0 == 0 && (b[1] == 4 || b[1] == 41): // draft-ietf-intarea-gue §3
		return "packets in GUE"
	case to == portTZSP && b[0] == 1: // TaZmen Sniffer Protocol
		return "frames in TZSP"
	}
	return ""
}
