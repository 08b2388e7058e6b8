package tcpdump

import "encoding/binary"

// Flags of a GRE header (RFC 2784 §2, RFC 2890 §2, RFC 1701).
const (
	greChecksum  = 0x8000
	greRouting   = 0x4000
	greKey       = 0x2000
	greSequence  = 0x1000
	greStrict    = 0x0800
	greRecursion = 0x0700
	greAck       = 0x0080
	greReserved  = 0x0078
	greVersion   = 0x0007
)

// gre writes a GRE header, of version 0 without source routing, and the packet behind it.
func (l *line) gre(b []byte, n uint32) {
	if len(b) < 4 {
		l.words("[|gre]", " [|gre]")
		return
	}
	flags := binary.BigEndian.Uint16(b)
	if flags&(greRouting|greVersion) != 0 {
		l.text(" ip-proto-47 ").dec(n)
		return
	}
	l.words("gre ", "GREv0")
	if flags != 0 && l.d == Classic {
		l.greFlags(flags)
	}
	rest := b[4:]
	for _, field := range [...]uint16{greChecksum, greKey, greSequence} {
		if flags&field == 0 {
			continue
		}
		if len(rest) < 4 {
			l.words("[|gre]", " [|gre]")
			return
		}
		v := binary.BigEndian.Uint32(rest)
		switch {
		case field == greSequence:
			l.words("S:", ", seq ").dec(v).words(" ", "")
		case field == greKey && l.d == Classic:
			l.text("K:").octets(rest[:4]).text(" ")
		case field == greKey:
			l.text(", key=0x").hex(uint64(v))
		case l.d == Modern:
			l.text(", off 0x").hex(uint64(v & 0xffff)) // behind the checksum (RFC 1701)
		}
		rest = rest[4:]
	}
	if l.d == Modern {
		l.text(", length ").dec(n).text(": ")
	} else if len(rest) == 0 {
		l.text("[|gre]")
		return
	}
	n -= uint32(len(b) - len(rest))
	switch etherType := binary.BigEndian.Uint16(b[2:]); etherType {
	case etherIPv4:
		l.ip4(rest, n)
	case etherIPv6:
		l.ip6(rest, n)
	case etherBridged:
		if l.d == Modern {
			l.ethernet(rest, n)
			return
		}
		fallthrough
	default:
		l.text("gre-proto-0x").hex(uint64(etherType))
	}
}

// ethernet writes the packet in an Ethernet frame, whose header and VLAN tags Modern does not show.
func (l *line) ethernet(b []byte, n uint32) {
	const addresses, tag = 12, 4
	if len(b) < addresses+2 {
		l.text(" [|ether]")
		return
	}
	b, n = b[addresses:], n-addresses
	for len(b) >= tag+2 && isVLAN(binary.BigEndian.Uint16(b)) {
		b, n = b[tag:], n-tag
	}
	etherType := binary.BigEndian.Uint16(b)
	switch b, n = b[2:], n-2; etherType {
	case etherIPv4:
		l.ip4(b, n)
	case etherIPv6:
		l.ip6(b, n)
	default:
		l.text("ethertype 0x").hex(uint64(etherType))
	}
}

// isVLAN reports whether an EtherType is that of a VLAN tag, of 802.1Q or before.
func isVLAN(etherType uint16) bool {
	switch etherType {
	case 0x8100, 0x88a8, 0x9100, 0x9200:
		return true
	}
	return false
}

// greFlags writes Classic's letters for the flags.
func (l *line) greFlags(flags uint16) {
	l.text("[")
	for _, f := range [...]struct {
		bit    uint16
		letter string
	}{
		{greChecksum, "C"}, {greKey, "K"}, {greSequence, "S"}, {greStrict, "s"}, {greAck, "A"},
	} {
		if flags&f.bit != 0 {
			l.text(f.letter)
		}
	}
	if r := flags & greRecursion; r != 0 {
		l.text("R").hex(uint64(r >> 8))
	}
	l.text("v0")
	if r := flags & greReserved; r != 0 {
		l.text("!").hex(uint64(r))
	}
	l.text("] ")
}
