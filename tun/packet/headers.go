package packet

import (
	"encoding/binary"
	"net/netip"
)

// Headers are the IP and transport headers of one packet, as [Headers.Parse] has read them. Offsets
// are in bytes from the beginning of the packet.
type Headers struct {
	Version  uint8    // 4 or 6; 0 if the bytes are no IP packet
	Next     uint8    // of the IP header: Protocol of IPv4, Next Header of IPv6
	Proto    uint8    // of the upper layer if Upper, else of the header that could not be read
	Upper    bool     // the upper layer begins at Offset
	TCP      bool     // a TCP header follows: all fields below are valid
	Flags    uint8    // of TCP
	Fragment Fragment // which part of an IP packet it is
	Problem  Problem  // why a router must not accept it

	SrcPort uint16 // of TCP and UDP; 0 if the packet shows none
	DstPort uint16 // as SrcPort
	Window  uint16 // of TCP

	Seq uint32 // of TCP; with the ports valid for a header of 8 bytes, as ICMP errors quote it
	Ack uint32 // of TCP, also if ACK is not set

	HeaderLen int // length of the IP header, with options of IPv4
	Offset    int // of the upper layer: HeaderLen and the extension headers
	Length    int // of the packet, as its header claims
	End       int // of the TCP header: where its payload begins, as the data offset claims
}

// Fragment says which part of an IP packet a packet is.
type Fragment uint8

// The values of [Fragment].
const (
	Whole          Fragment = iota // no fragment
	AtomicFragment                 // of IPv6: whole, with a fragment header all the same (RFC 6946)
	FirstFragment                  // the first of several
	LaterFragment                  // another one: it does not begin with the upper layer's header
)

// Problem says why a router must not accept a packet.
type Problem uint8

// The values of [Problem].
const (
	NoProblem   Problem = iota
	Malformed           // no IP packet, or its lengths contradict each other
	TCPFragment         // TCP in fragments, or a fragment that may hold TCP
	// ExtensionHeaders: TCP behind headers that a host need not accept, or of which head does not
	// hold all, so that they may hide TCP.
	ExtensionHeaders
	SYNFlags // a SYN with FIN or RST
)

// AnyLength is a packet length for Parse that no header exceeds: an ICMP error quotes the beginning
// of a packet.
const AnyLength = 1 << 17

// Parse reads the headers in head, the first bytes of a packet of n bytes, into the zero value.
func (h *Headers) Parse(head []byte, n int) {
	switch {
	case len(head) >= IPv4HeaderLen && head[0]>>4 == 4:
		h.parseIPv4(head, n)
	case len(head) >= IPv6HeaderLen && head[0]>>4 == 6:
		h.parseIPv6(head, n)
	default:
		h.Problem = Malformed
	}
}

func (h *Headers) parseIPv4(head []byte, n int) {
	const more, fragmentOffset = 0x2000, 0x1fff
	b := (*[IPv4HeaderLen]byte)(head)
	proto, offset, length := b[9], int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if length == 0 { // captured before segmentation offload has filled it in
		length = n
		h.Problem = Malformed
	}
	if length > n {
		h.Problem = Malformed
	}
	h.Version, h.Next, h.Proto = 4, proto, proto
	h.HeaderLen, h.Offset, h.Length = offset, offset, length
	if offset < IPv4HeaderLen || length < offset {
		h.Problem = Malformed
		return
	}
	if f := binary.BigEndian.Uint16(b[6:]) & (more | fragmentOffset); f == more {
		h.Fragment = FirstFragment
	} else if f != 0 {
		h.laterFragment(proto)
		return
	}
	h.Upper = true
	if proto == ProtoTCP {
		h.parseTCP(head[:min(len(head), length)], offset, length)
		return
	}
	if proto == ProtoAH {
		h.walk(head)
	}
	h.parseUpper(head)
}

func (h *Headers) parseIPv6(head []byte, n int) {
	b := (*[IPv6HeaderLen]byte)(head)
	next, length := b[6], IPv6HeaderLen+int(binary.BigEndian.Uint16(b[4:]))
	if length == IPv6HeaderLen && n > IPv6HeaderLen { // a jumbogram (RFC 2675), or a capture as in IPv4
		length = n
		h.Problem = Malformed
	}
	if length > n {
		h.Problem = Malformed
	}
	h.Version, h.Next, h.Proto, h.Upper = 6, next, next, true
	h.HeaderLen, h.Offset, h.Length = IPv6HeaderLen, IPv6HeaderLen, length
	if next == ProtoTCP {
		h.parseTCP(head[:min(len(head), length)], IPv6HeaderLen, length)
		return
	}
	h.walk(head)
	h.parseUpper(head)
}

// parseUpper reads the header of the upper layer, if it begins in head.
func (h *Headers) parseUpper(head []byte) {
	if !h.Upper {
		return
	}
	head = head[:min(len(head), h.Length)]
	switch h.Proto {
	case ProtoTCP:
		h.parseTCP(head, h.Offset, h.Length)
	case ProtoUDP:
		h.parsePorts(head)
	}
}

// parseTCP reads the TCP header at an offset in b, which ends with the packet of the given length.
func (h *Headers) parseTCP(b []byte, offset, length int) {
	if h.Fragment == FirstFragment {
		h.refuse(TCPFragment)
	}
	if len(b) < offset+TCPHeaderLen {
		if length >= offset+TCPHeaderLen {
			h.refuse(ExtensionHeaders)
		}
		h.refuse(Malformed)
		h.parsePorts(b)
		return
	}
	be, t := binary.BigEndian, (*[TCPHeaderLen]byte)(b[offset:])
	ports := be.Uint32(t[:])
	h.SrcPort, h.DstPort = uint16(ports>>16), uint16(ports)
	h.Seq = be.Uint32(t[4:])
	end, flags := offset+int(t[TCPDataOffset]>>4)*4, t[TCPFlags]
	if end < offset+TCPHeaderLen {
		h.refuse(Malformed)
		return
	}
	h.TCP, h.Flags = true, flags
	h.Ack = be.Uint32(t[8:])
	h.Window = be.Uint16(t[14:])
	h.End = end
	switch {
	case end > length:
		h.refuse(Malformed)
	case end > len(b):
		h.refuse(ExtensionHeaders)
	case flags&SYN != 0 && flags&(FIN|RST) != 0:
		h.refuse(SYNFlags)
	}
}

// parsePorts reads the ports and, of TCP, the sequence number, as far as b has them.
func (h *Headers) parsePorts(b []byte) {
	if len(b) < h.Offset+4 {
		return
	}
	t := b[h.Offset:]
	h.SrcPort, h.DstPort = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
	if h.Proto == ProtoTCP && len(t) >= 8 {
		h.Seq = binary.BigEndian.Uint32(t[4:])
	}
}

// refuse gives the packet a reason not to enter a router. The first one counts.
func (h *Headers) refuse(p Problem) {
	if h.Problem == NoProblem {
		h.Problem = p
	}
}

// Plain reports whether the packet is no fragment, and its upper layer follows the IP header.
func (h *Headers) Plain() bool {
	return h.Upper && h.Fragment == Whole && h.Offset == h.HeaderLen
}

// PayloadLen returns the number of bytes behind the TCP header.
func (h *Headers) PayloadLen() int { return max(0, h.Length-h.End) }

// SeqLen returns the number of sequence numbers that the TCP segment takes (RFC 9293 §3.4).
func (h *Headers) SeqLen() uint32 {
	n := uint32(h.PayloadLen())
	if h.Flags&SYN != 0 {
		n++
	}
	if h.Flags&FIN != 0 {
		n++
	}
	return n
}

// SeqWithin reports whether low < x <= high in sequence numbers (RFC 9293 §3.4).
func SeqWithin(low, x, high uint32) bool { return x-low-1 < high-low }

// Addrs returns the source and destination address in head, 4 or 16 bytes each.
func (h *Headers) Addrs(head []byte) (src, dst []byte) {
	if h.Version == 4 {
		return head[12:16], head[16:20]
	}
	return head[8:24], head[24:40]
}

// Src returns the source address of the packet that begins with head.
func (h *Headers) Src(head []byte) netip.Addr {
	if h.Version == 4 {
		return netip.AddrFrom4([4]byte(head[12:16]))
	}
	return netip.AddrFrom16([16]byte(head[8:24]))
}

// Dst returns the destination address of the packet that begins with head.
func (h *Headers) Dst(head []byte) netip.Addr {
	if h.Version == 4 {
		return netip.AddrFrom4([4]byte(head[16:20]))
	}
	return netip.AddrFrom16([16]byte(head[24:40]))
}

// Ends returns the addresses and ports of the packet that begins with head.
func (h *Headers) Ends(head []byte) (src, dst netip.AddrPort) {
	return netip.AddrPortFrom(h.Src(head), h.SrcPort), netip.AddrPortFrom(h.Dst(head), h.DstPort)
}
