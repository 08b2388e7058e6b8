package tcpdump

import "encoding/binary"

// Protocol numbers, which IPv6 calls next header values (IANA).
const (
	protoHopByHop = 0
	protoIPv4     = 4
	protoTCP      = 6
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoAH       = 51
	protoDstOpts  = 60
)

// Fields of the flags and fragment offset word (RFC 791 §3.1).
const (
	dontFragment  = 0x4000
	moreFragments = 0x2000
	offsetMask    = 0x1fff
)

func (l *line) ip4(b []byte, n uint32) {
	if l.d == Modern && len(b) > 0 && !l.version4(b[0]>>4) {
		return
	}
	if len(b) < 20 {
		l.words("[|ip]", " [|ip]")
		return
	}
	if n < 20 {
		l.text("truncated-ip ").dec(n)
		return
	}
	header := uint32(b[0]&15) * 4
	if header < 20 {
		l.text("bad-hlen ").dec(header)
		return
	}
	total := uint32(binary.BigEndian.Uint16(b[2:]))
	if n < total {
		l.text("truncated-ip - ").dec(total - n).text(" bytes missing! ")
	}
	if l.d == Modern {
		if total < header {
			l.text("bad-len ").dec(total)
			return
		}
		b = b[:min(len(b), int(total))]
	}
	payload := total - header // Classic lets it wrap

	proto := b[9]
	if binary.BigEndian.Uint16(b[6:])&offsetMask != 0 {
		l.addrs4(b)
		if proto == protoTCP {
			l.tcp = true
			l.words(": tcp", ": ip-proto-6")
		} else {
			l.text(": ip-proto-").dec(uint32(proto))
		}
	} else {
		if proto != protoTCP {
			l.addrs4(b).text(": ")
		}
		if l.d == Modern && len(b) < int(header) {
			l.shortHeader(b, header).text(" [|ip]")
			return
		}
		if l.upper(b, skip(b, header), payload, proto) == protoIPv4 && l.d == Classic {
			l.text(" (ipip-proto-4)")
			return
		}
	}
	if l.d == Classic {
		l.tail4(b, payload)
	}
}

// version4 writes the version of a packet that came as IPv4, and reports whether it is that.
func (l *line) version4(version byte) bool {
	switch version {
	case 4:
		l.text("IP ")
		return true
	case 6:
		l.text("IP6, wrong link-layer encapsulation (invalid)")
	default:
		l.text("IP").dec(uint32(version)).text(" (invalid)")
	}
	return false
}

// tail4 writes Classic's notes on the IP header, which end the line.
func (l *line) tail4(b []byte, payload uint32) {
	off := binary.BigEndian.Uint16(b[6:])
	if off&(moreFragments|offsetMask) != 0 {
		l.text(" (frag ").dec(uint32(binary.BigEndian.Uint16(b[4:]))).text(":").dec(payload)
		l.text("@").dec(uint32(off&offsetMask) * 8)
		if off&moreFragments != 0 {
			l.text("+")
		}
		l.text(")")
	} else if off&dontFragment != 0 {
		l.text(" (DF)")
	}
	if tos := b[1]; tos != 0 {
		ecn := [...]string{"", ",ECT(1)", ",ECT(0)", ",CE"} // RFC 3168 §5
		l.text(" [tos 0x").hex(uint64(tos)).text(ecn[tos&3]).text("] ")
	}
	if ttl := b[8]; ttl <= 1 {
		l.text(" [ttl ").dec(uint32(ttl)).text("]")
	}
}

func (l *line) addrs4(ip []byte) *line {
	return l.addr4(ip[12:16]).text(" > ").addr4(ip[16:20])
}

// shortHeader is Modern's note that a header, known by its length field, was not captured whole.
func (l *line) shortHeader(b []byte, header uint32) *line {
	l.text(" [remaining caplen(").dec(uint32(len(b)))
	return l.text(") < header length(").dec(header).text(")]")
}

// skip returns the captured bytes behind the first n of b.
func skip(b []byte, n uint32) []byte {
	return b[min(uint64(n), uint64(len(b))):]
}
