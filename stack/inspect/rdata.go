package inspect

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"syntap/tun/flow"
)

// layouts has the fields of the data of record types, in the order of their presentation form:
//
//	n     domain name
//	1 2 4 number of so many bytes
//	a A   IPv4 address, IPv6 address
//	s     character-string (RFC 1035 §3.3), in quotes
//	S     character-strings up to the end
//	t     record type
//	T     time in seconds since 1970 (RFC 4034 §3.2)
//	k v   tag and value (RFC 8659 §4.1)
//	p     SvcParams up to the end (RFC 9460 §2.1)
//	x b   the rest in hexadecimal, in base64
//
// Other types, and classes other than IN, have the generic form of RFC 3597 §5.
var layouts = map[flow.RRType]string{
	1: "a", 2: "n", 5: "n", 6: "nn44444", 12: "n", 13: "ss", 15: "2n", 16: "S", 28: "A", 33: "222n",
	35: "22sssn", 39: "n", 43: "211x", 44: "11x", 46: "t114TT2nb", 48: "211b", 52: "111x", 64: "2np",
	65: "2np", 257: "1kv",
}

// dataText returns the data of a record in presentation form, cut at limit bytes. It reports false
// where the data is not as its type has it.
func (m wire) dataText(r record, limit int) (string, bool) {
	f := fields{m: m[:r.end], off: r.data}
	var buf [256]byte
	f.text = buf[:0]
	layout, ok := layouts[r.typ]
	if !ok || r.class != classIN {
		f.generic()
		return cutText(f.text, limit), true
	}
	for i := range len(layout) {
		if i > 0 {
			f.text = append(f.text, ' ')
		}
		if !f.field(layout[i]) {
			return "", false
		}
	}
	return cutText(f.text, limit), f.off == r.end
}

func cutText(text []byte, limit int) string {
	if len(text) > limit {
		return string(text[:limit]) + cut
	}
	return string(text)
}

// fields reads the data of a record, which ends with m, and writes it as text.
type fields struct {
	m    wire
	off  int
	text []byte
}

// take returns the next n bytes.
func (f *fields) take(n int) ([]byte, bool) {
	if n > len(f.m)-f.off {
		return nil, false
	}
	f.off += n
	return f.m[f.off-n : f.off], true
}

func (f *fields) rest() []byte {
	b := f.m[f.off:]
	f.off = len(f.m)
	return b
}

// number reads a number of n bytes.
func (f *fields) number(n int) (v uint64, ok bool) {
	b, ok := f.take(n)
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, ok
}

// sized reads bytes that stand behind their length, a number of n bytes.
func (f *fields) sized(n int) ([]byte, bool) {
	size, ok := f.number(n)
	if !ok {
		return nil, false
	}
	return f.take(int(size))
}

// generic writes data as RFC 3597 §5 has it.
func (f *fields) generic() {
	b := f.rest()
	f.text = append(f.text, `\# `...)
	f.text = strconv.AppendInt(f.text, int64(len(b)), 10)
	if len(b) > 0 {
		f.text = append(f.text, ' ')
		f.text = fmt.Appendf(f.text, "%X", b)
	}
}

// field reads and writes one field of a layout.
func (f *fields) field(kind byte) (ok bool) {
	var b []byte
	var v uint64
	switch kind {
	case 'n':
		f.text, f.off, ok = f.m.appendName(f.text, f.off)
	case '1', '2', '4':
		v, ok = f.number(int(kind - '0'))
		f.text = strconv.AppendUint(f.text, v, 10)
	case 'a':
		ok = f.address(4)
	case 'A':
		ok = f.address(16)
	case 's':
		b, ok = f.sized(1)
		f.quote(b)
	case 'S':
		return f.strings()
	case 't':
		v, ok = f.number(2)
		f.text = append(f.text, flow.RRType(v).String()...)
	case 'T':
		v, ok = f.number(4)
		f.text = time.Unix(int64(v), 0).UTC().AppendFormat(f.text, "20060102150405")
	case 'k':
		b, ok = f.sized(1)
		f.text = appendText(f.text, b, " ")
	case 'v':
		f.quote(f.rest())
		ok = true
	case 'p':
		return f.svcParams()
	case 'x':
		f.text = fmt.Appendf(f.text, "%X", f.rest())
		ok = true
	case 'b':
		f.text = base64.StdEncoding.AppendEncode(f.text, f.rest())
		ok = true
	}
	return ok
}

func (f *fields) quote(b []byte) {
	f.text = append(f.text, '"')
	f.text = appendText(f.text, b, `"`)
	f.text = append(f.text, '"')
}

// strings reads character-strings up to the end of the data.
func (f *fields) strings() bool {
	for first := true; first || f.off < len(f.m); first = false {
		if !first {
			f.text = append(f.text, ' ')
		}
		if !f.field('s') {
			return false
		}
	}
	return true
}

// address reads an address of n bytes.
func (f *fields) address(n int) bool {
	b, ok := f.take(n)
	if !ok {
		return false
	}
	a, _ := netip.AddrFromSlice(b)
	f.text = a.AppendTo(f.text)
	return true
}
