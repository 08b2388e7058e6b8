package tcpdump

import "encoding/binary"

// Option kinds (IANA, TCP Option Kind Numbers).
const (
	kindEOL         = 0
	kindNOP         = 1
	kindMSS         = 2
	kindWScale      = 3
	kindSACKOK      = 4
	kindSACK        = 5
	kindEcho        = 6
	kindEchoReply   = 7
	kindTimestamps  = 8
	kindCC          = 11
	kindCCNew       = 12
	kindCCEcho      = 13
	kindMD5         = 19
	kindSCPS        = 20
	kindUserTimeout = 28
	kindTCPAO       = 29
	kindMPTCP       = 30
	kindFastOpen    = 34
	kindExperiment2 = 254
)

// simple are the options whose value is one unsigned number or nothing, by kind.
var simple = [...]struct {
	classic, modern string
	size            int // of the number in bytes
}{
	kindEOL:       {"eol", "eol", 0},
	kindNOP:       {"nop", "nop", 0},
	kindMSS:       {"mss", "mss", 2},
	kindWScale:    {"wscale", "wscale", 1},
	kindSACKOK:    {"sackOK", "sackOK", 0},
	kindEcho:      {"echo", "echo", 4},
	kindEchoReply: {"echoreply", "echoreply", 4},
	kindCC:        {"cc", "cc", 4},
	kindCCNew:     {"ccnew", "ccnew", 4},
	kindCCEcho:    {"ccecho", "", 4}, // 4.99.3 lost the name
}

// fault is a reason that ends a list of options early.
type fault uint8

const (
	noFault   fault = iota
	badOption       // a length for which the header has no room, or a value that cannot be
	cutHead         // the capture ends before a kind or length byte
	cutValue        // the capture ends in a value
)

// options is a list of options while it is read.
type options struct {
	rest  []byte // captured, from the next option on; ends behind the header
	left  int    // bytes left in the header
	flags uint8  // of the segment
	whole bool   // the segment was captured to its end
	peer  uint32 // number from which SACK edges are counted
	proto string // Modern's name of the header that was cut
}

// head reads the kind byte of the next option and its length byte, and returns the length of the
// value it announces. Kinds 0 and 1 have no length byte.
func (o *options) head() (kind byte, n int, f fault) {
	if len(o.rest) == 0 {
		return 0, 0, cutHead
	}
	if kind = o.rest[0]; kind <= kindNOP {
		o.skip(1)
		return kind, 0, noFault
	}
	if len(o.rest) == 1 {
		return kind, 0, cutHead
	}
	size := int(o.rest[1])
	if size < 2 || size > o.left {
		return kind, 0, badOption
	}
	o.skip(2)
	return kind, size - 2, noFault
}

// value returns the next n bytes without skipping them.
func (o *options) value(n int) ([]byte, fault) {
	switch {
	case n > o.left:
		return nil, badOption
	case n > len(o.rest):
		return nil, cutValue
	}
	return o.rest[:n], noFault
}

func (o *options) skip(n int) {
	o.rest = o.rest[min(n, len(o.rest)):]
	o.left -= n
}

// options writes the bracket of options and reports whether the list had no fault.
func (l *line) options(o *options) bool {
	l.words(" <", ", options [")
	for first := true; o.left > 0; first = false {
		if !first {
			l.text(",")
		}
		kind, n, f := o.head()
		if f == noFault {
			f = l.option(o, kind, n)
		}
		if f != noFault {
			l.fault(f, first, o.proto)
			return false
		}
		if kind == kindEOL {
			break
		}
	}
	l.words(">", "]")
	return true
}

// fault ends the bracket. Modern closes it only behind another option, and after a cut value with
// the wrong sign.
func (l *line) fault(f fault, first bool, proto string) {
	switch {
	case f == badOption:
		l.text("[bad opt]")
	case l.d == Classic:
		l.text("[|tcp]")
	default:
		l.text(" [|").text(proto).text("]")
	}
	switch {
	case l.d == Classic, f == cutValue && !first:
		l.text(">")
	case f == badOption && !first:
		l.text("]")
	}
}

// option writes one option, whose head announced a value of n bytes. The walk continues behind the
// value that the kind ought to have.
func (l *line) option(o *options, kind byte, announced int) fault {
	n := announced
	var f fault
	switch {
	case int(kind) < len(simple) && simple[kind].classic != "":
		n = simple[kind].size
		f = l.simple(o, kind)
	case kind == kindSACK:
		f = l.sack(o, n)
	case kind == kindTimestamps:
		n = 8
		f = l.timestamps(o)
	case l.d == Modern:
		n, f = l.optionModern(o, kind, n)
	default:
		l.text("opt-").dec(uint32(kind)).text(":")
		f = l.captured(o, 0, n)
	}
	if f != noFault {
		return f
	}
	o.skip(n)
	if n != announced {
		l.text("[len ").dec(uint32(announced + 2)).text("]")
	}
	return noFault
}

func (l *line) simple(o *options, kind byte) fault {
	s := &simple[kind]
	l.words(s.classic, s.modern)
	if s.size == 0 {
		return noFault
	}
	v, f := o.value(s.size)
	if f != noFault {
		return f
	}
	var number uint32
	for _, c := range v {
		number = number<<8 | uint32(c)
	}
	l.text(" ").dec(number)
	return noFault
}

// sack writes the blocks of RFC 2018 §3.
func (l *line) sack(o *options, n int) fault {
	l.text("sack")
	if n%8 != 0 {
		l.words(" malformed sack ", " invalid sack")
		return noFault
	}
	l.words(" sack ", " ").dec(uint32(n / 8)).text(" ")
	for i := 0; i < n; i += 8 {
		v, f := o.value(i + 8)
		if f != noFault {
			return f
		}
		left, right := binary.BigEndian.Uint32(v[i:]), binary.BigEndian.Uint32(v[i+4:])
		l.text("{").dec(left - o.peer).text(":").dec(right - o.peer).text("}")
	}
	l.words(" ", "")
	return noFault
}

// timestamps writes the option of RFC 7323 §3.2. Classic writes the half it has of a cut one.
func (l *line) timestamps(o *options) fault {
	l.words("timestamp", "TS")
	if l.d == Classic {
		v, f := o.value(4)
		if f != noFault {
			return f
		}
		l.text(" ").dec(binary.BigEndian.Uint32(v))
	}
	v, f := o.value(8)
	if f != noFault {
		return f
	}
	if l.d == Modern {
		l.text(" val ").dec(binary.BigEndian.Uint32(v)).text(" ecr")
	}
	l.text(" ").dec(binary.BigEndian.Uint32(v[4:]))
	return noFault
}

// captured writes the bytes of a value of n bytes from index from on, as far as they were captured.
func (l *line) captured(o *options, from, n int) fault {
	l.octets(o.rest[min(from, len(o.rest)):min(n, len(o.rest))])
	if len(o.rest) < n {
		return cutValue
	}
	return noFault
}
