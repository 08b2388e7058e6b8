package record

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// object is JSON text while it is written. A key is a constant with all that stands before its
// value: `,"seq":`, or `{"win":` for the first one of an object.
type object struct{ b []byte }

func (o *object) raw(text string) { o.b = append(o.b, text...) }

func (o *object) string(key, value string) { o.b = AppendString(append(o.b, key...), value) }

// known writes no member for an empty value.
func (o *object) known(key, value string) {
	if value != "" {
		o.string(key, value)
	}
}

func (o *object) uint(key string, value uint64) {
	o.b = strconv.AppendUint(append(o.b, key...), value, 10)
}

func (o *object) int(key string, value int64) {
	o.b = strconv.AppendInt(append(o.b, key...), value, 10)
}

func (o *object) bool(key string, value bool) {
	o.b = strconv.AppendBool(append(o.b, key...), value)
}

// flag writes no member for false.
func (o *object) flag(member string, set bool) {
	if set {
		o.raw(member)
	}
}

// texts writes a list of strings, and no member for an empty one.
func (o *object) texts(key string, values []string) {
	for _, value := range values {
		o.string(key, value)
		key = ","
	}
	if len(values) > 0 {
		o.raw(`]`)
	}
}

func (o *object) addr(key string, a netip.Addr) {
	o.b = append(a.AppendTo(append(append(o.b, key...), '"')), '"')
}

// addrPort writes no member for the zero value.
func (o *object) addrPort(key string, a netip.AddrPort) {
	if a.IsValid() {
		o.b = append(a.AppendTo(append(append(o.b, key...), '"')), '"')
	}
}

// AppendString appends s as a JSON string of printable ASCII: everything else is escaped, so that
// no value can break a line or control a terminal.
func AppendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		n := 0
		for n < len(s) && inside[s[n]] {
			n++
		}
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		if s[0] == '"' || s[0] == '\\' {
			dst = append(dst, '\\', s[0])
			s = s[1:]
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[:min(utf8.UTFMax, len(s))]))
		var units [2]uint16
		for _, u := range utf16.AppendRune(units[:0], r) {
			dst = appendUnit(dst, u)
		}
		s = s[size:]
	}
	return append(dst, '"')
}

// needsEscapes reports whether a string of b has characters that AppendString escapes.
func needsEscapes(b []byte) bool {
	for len(b) >= 8 && allInside(binary.LittleEndian.Uint64(b)) {
		b = b[8:]
	}
	for _, c := range b {
		if !inside[c] {
			return true
		}
	}
	return false
}

func appendUnit(dst []byte, u uint16) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[u>>12], digits[u>>8&15], digits[u>>4&15], digits[u&15])
}
