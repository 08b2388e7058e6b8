package tcpdump

import "encoding/binary"

// beyond is the length that Classic gives a header it cannot read: it continues behind the capture.
const beyond = 65535

// upper writes the payload of ip, b, which is of protocol proto, and returns the protocol found
// behind authentication headers.
func (l *line) upper(ip, b []byte, n uint32, proto uint8) uint8 {
	for proto == protoAH && !l.full() {
		if len(b) == 0 {
			l.words("[|AH]", " [|ah]")
			return proto
		}
		proto = b[0]
		size, ok := l.ah(b)
		if !ok {
			return proto
		}
		b = skip(b, size)
		n -= size
	}
	switch {
	case l.full():
	case proto == protoTCP:
		l.segment(ip, b, n)
	case proto == protoIPv4:
		l.ip4(b, n)
	case proto == protoIPv6:
		l.ip6(b, n)
	case proto == protoGRE:
		l.gre(b, n)
	default:
		l.text(" ip-proto-").dec(uint32(proto)).text(" ").dec(n)
	}
	return proto
}

// ah writes an authentication header (RFC 4302 §2) and returns its length.
func (l *line) ah(b []byte) (size uint32, ok bool) {
	if l.d == Classic {
		if len(b) < 8 {
			l.text("[|AH]")
			return beyond, true
		}
		size = 8 + uint32(b[1])*4
		l.text("AH(spi=0x").octets(b[4:8]).text(",seq=0x")
		if len(b) >= 12 {
			l.hex(uint64(binary.BigEndian.Uint32(b[8:])))
		}
		if uint32(len(b)) < size {
			l.text("[truncated]")
		}
		l.text("): ")
		return size, true
	}

	l.text("AH")
	if len(b) < 2 {
		l.text(" [|ah]")
		return 0, false
	}
	size = 8 + uint32(b[1])*4
	l.text("(")
	if len(b) >= 4 && b[2]|b[3] != 0 {
		l.text("reserved=0x").hex(uint64(binary.BigEndian.Uint16(b[2:]))).text("[MustBeZero],")
	}
	if len(b) >= 8 {
		l.text("spi=0x").octets(b[4:8]).text(",")
	}
	if len(b) >= 12 {
		l.text("seq=0x").hex(uint64(binary.BigEndian.Uint32(b[8:]))).text(",icv=0x")
		if size > 12 {
			l.octets(b[12:min(int(size), len(b))])
		}
	}
	if len(b) < max(12, int(size)) {
		l.text(" [|ah]")
		return 0, false
	}
	l.text("): ")
	return size, true
}
