package tcpdump

import (
	"encoding/binary"
	"strconv"
)

// The extension headers of RFC 8200 §4. Each method returns the header's length and whether the
// walk continues behind it.

// options6 writes the name of a header of options: hop-by-hop or destination.
func (l *line) options6(b []byte, name, modern string) (size uint32, ok bool) {
	if len(b) >= 2 {
		size = uint32(b[1])*8 + 8
	}
	if len(b) < 2 || uint32(len(b)) < size {
		if l.d == Classic {
			l.text("[|").text(name).text("]")
			return size, size > 0 // 3.7.2 itself never ends on a header without its length byte
		}
		l.text(" [|").text(modern).text("]")
		return 0, false
	}
	l.text(name).text(" ")
	return size, true
}

// routing writes a routing header: types 0 (RFC 2460 §4.4), 2 (RFC 6275 §6.4) and 4 (RFC 8754 §2).
// Classic knows type 0 only.
func (l *line) routing(b []byte) (size uint32, ok bool) {
	if l.d == Classic {
		return l.routingClassic(b)
	}
	if len(b) == 0 {
		l.text(" [|ip6]")
		return 0, false
	}
	if !l.routingModern(b) {
		return 0, false
	}
	return uint32(b[1])*8 + 8, true
}

func (l *line) routingClassic(b []byte) (size uint32, ok bool) {
	if len(b) >= 4 {
		l.text("srcrt (len=").dec(uint32(b[1])).text(", type=").dec(uint32(b[2])).text(", segleft=").dec(uint32(b[3]))
	}
	if len(b) >= 5 && b[2] == 0 {
		if b[4] != 0 { // RFC 1883 §4.4 had a reserved byte here, and a bit map behind it
			l.text(", rsv=0x").hex(uint64(b[4]) << 24)
		}
		if b[1]%2 == 0 && l.hops(b) {
			l.text(") ")
			return uint32(b[1])*8 + 8, true
		}
	}
	l.text("[|srcrt]")
	return beyond, true
}

func (l *line) routingModern(b []byte) bool {
	l.text("RT6")
	if len(b) >= 2 {
		l.text(" (len=").dec(uint32(b[1]))
	}
	if len(b) >= 3 {
		l.text(", type=").dec(uint32(b[2]))
		if b[2] == 0 {
			l.text(" [Deprecated]") // RFC 5095
		}
	}
	if len(b) >= 4 {
		l.text(", segleft=").dec(uint32(b[3]))
		if b[2] != 0 && b[2] != 2 && b[2] != 4 {
			l.text(" (unknown type) (invalid)")
			return false
		}
	}
	if len(b) >= 5 && b[2] == 4 {
		l.text(", last-entry=").dec(uint32(b[4]))
		if len(b) >= 6 && b[5] != 0 {
			l.text(", flags=0x").hex(uint64(b[5]))
		}
	}
	if len(b) < 8 {
		l.text(" [|rt6]")
		return false
	}
	if b[2] == 4 {
		l.text(", tag=").hex(uint64(binary.BigEndian.Uint16(b[6:])))
	} else if reserved := binary.BigEndian.Uint32(b[4:]); reserved != 0 {
		l.text(", rsv=0x").hex(uint64(reserved))
	}
	if b[1]%2 == 1 {
		l.text(" (invalid length ").dec(uint32(b[1])).text(") (invalid)")
		return false
	}
	if !l.hops(b) {
		l.text(" [|rt6]")
		return false
	}
	l.text(") ")
	return true
}

// hops writes the addresses of a routing header and reports whether all were captured.
func (l *line) hops(b []byte) bool {
	for i := range int(b[1]) / 2 {
		at := 8 + 16*i
		if len(b) < at+16 {
			return false
		}
		l.text(", [").dec(uint32(i)).text("]").addr6(b[at:])
	}
	return true
}

// fragment6 writes a fragment header. The bytes behind that of a later fragment cannot be read.
func (l *line) fragment6(b []byte, left int64) (size uint32, ok bool) {
	const header = 8
	if len(b) < 4 {
		l.words("[|frag]", " [|frag6]")
		return 0, false
	}
	offset := binary.BigEndian.Uint16(b[2:]) &^ 7
	l.text("frag (").dec(uint32(offset)).text("|")
	if left -= header; l.d == Classic {
		l.b = strconv.AppendInt(l.b, left, 10)
	} else {
		l.b = strconv.AppendUint(l.b, uint64(left), 10)
	}
	l.text(")")
	l.tcp = l.tcp || b[0] == protoTCP
	if offset != 0 {
		return 0, false
	}
	l.text(" ")
	return header, len(b) > header
}
