package tap

import "encoding/binary"

// Protocol numbers (IANA "Assigned Internet Protocol Numbers").
const (
	protoHopByHop   = 0
	protoICMP       = 1
	protoTCP        = 6
	protoRouting    = 43
	protoFragment   = 44
	protoAH         = 51
	protoICMPv6     = 58
	protoDestOpts   = 60
	protoExperiment = 253
)

// ipHeader is where an IP header and its extension headers end and what follows them.
type ipHeader struct {
	version  uint8 // 4 or 6; 0 when the bytes are no IP packet
	proto    uint8 // of the upper layer; valid iff upper
	upper    bool  // the chain was walked to the upper layer's first byte
	fragment bool  // the first of several fragments
	reason   dropReason
	offset   int // of the upper layer; valid iff upper
	length   int // of the packet, as its header claims
}

// addresses returns source and destination.
func (ip *ipHeader) addresses(b []byte) (src, dst []byte) {
	if ip.version == 4 {
		return b[12:16], b[16:20]
	}
	return b[8:24], b[24:40]
}

// parse, on a zero ipHeader, walks the headers in b, the first bytes of a packet of n bytes. It
// goes on where a capture may lie; what must not enter the router has a reason.
func (ip *ipHeader) parse(b []byte, n int) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		const more, offsetBits = 0x2000, 0x1fff
		h := (*[20]byte)(b)
		offset, length := int(h[0]&15)*4, int(binary.BigEndian.Uint16(h[2:]))
		ip.version, ip.proto = 4, h[9]
		ip.offset, ip.length = offset, length
		if length == 0 { // a capture taken before segmentation offload filled it in
			ip.length = n
		}
		if length == 0 || length > n {
			ip.reason = dropMalformed
		}
		if offset < 20 || ip.length < offset {
			ip.reason = dropMalformed
			return
		}
		ip.upper = true
		if f := binary.BigEndian.Uint16(h[6:]) & (more | offsetBits); f == more {
			ip.fragment = true
		} else if f != 0 {
			ip.laterFragment(ip.proto)
			return
		}
		if ip.proto == protoAH {
			ip.walk(b)
		}

	case len(b) >= 40 && b[0]>>4 == 6:
		ip.version = 6
		ip.proto, ip.upper = b[6], true
		ip.offset = 40
		ip.length = 40 + int(binary.BigEndian.Uint16(b[4:]))
		if ip.length == 40 && n > 40 { // a jumbogram, or a capture as above
			ip.length = n
			ip.reason = dropMalformed
		}
		if ip.length > n {
			ip.reason = dropMalformed
		}
		if ip.proto != protoTCP {
			ip.walk(b)
		}

	default:
		ip.reason = dropMalformed
	}
}

// walk follows the chain of extension headers (RFC 8200 §4). Those that a host need not accept are
// walked for captures but no way into the router for TCP.
func (ip *ipHeader) walk(b []byte) {
	b = b[:min(len(b), ip.length)]
	odd := false
	for first := true; extension(ip.proto); first = false {
		ip.upper = false
		if len(b) < ip.offset+8 {
			ip.refuse(dropExtensionHeaders) // whatever hides behind it
			return
		}
		h := b[ip.offset:]
		size := (int(h[1]) + 1) * 8
		switch ip.proto {
		case protoHopByHop:
			odd = odd || !first || !skippable(h[2:min(size, len(h))]) // RFC 8200 §4.1
		case protoDestOpts:
			odd = odd || !skippable(h[2:min(size, len(h))])
		case protoRouting:
			odd = odd || h[3] != 0 // segments left: the destination is another one
		case protoAH:
			odd = true
			size = (int(h[1]) + 2) * 4 // RFC 4302 §2.2
		case protoExperiment:
			odd = true
			size = 8
		case protoFragment:
			size = 8
			if f := binary.BigEndian.Uint16(h[2:]); f&^7 != 0 {
				ip.laterFragment(h[0])
				return
			} else if f&1 != 0 { // else atomic, which is no fragment (RFC 6946)
				ip.fragment = true
			}
		}
		ip.proto = h[0]
		ip.offset += size
	}
	ip.upper = true
	if odd && ip.proto == protoTCP {
		ip.refuse(dropExtensionHeaders)
	}
}

// skippable reports whether a host may go on behind the options of a header: it knows them, or they
// say so (RFC 8200 §4.2).
func skippable(options []byte) bool {
	const pad1, action = 0, 0xc0 // the action bits of an option's type
	for len(options) > 0 {
		if options[0] == pad1 {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[0]&action != 0 || len(options) < 2+int(options[1]) {
			return false
		}
		options = options[2+int(options[1]):]
	}
	return true
}

// laterFragment notes a fragment other than the first. Its bytes are the upper layer's, but not
// from its start.
func (ip *ipHeader) laterFragment(next uint8) {
	ip.upper = false
	if next == protoTCP || ip.version == 6 && extension(next) { // RFC 7112: the chain belongs into the first fragment
		ip.refuse(dropFragment)
	}
}

// refuse gives the packet a reason not to enter the router. The first one counts.
func (ip *ipHeader) refuse(r dropReason) {
	if ip.reason == pass {
		ip.reason = r
	}
}

func extension(proto uint8) bool {
	switch proto {
	case protoHopByHop, protoRouting, protoFragment, protoAH, protoDestOpts, protoExperiment:
		return true
	}
	return false
}
