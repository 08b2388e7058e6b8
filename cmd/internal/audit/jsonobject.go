package audit

import (
	"unicode/utf16"
	"unicode/utf8"
)

// object is JSON text while it is written. Commas come by themselves.
type object struct{ b []byte }

func (o *object) open()      { o.b = append(o.b, '{') }
func (o *object) close()     { o.b = append(o.b, '}') }
func (o *object) openList()  { o.b = append(o.b, '[') }
func (o *object) closeList() { o.b = append(o.b, ']') }

// element begins an element of a list or a member of an object.
func (o *object) element() {
	if last := o.b[len(o.b)-1]; last != '{' && last != '[' {
		o.b = append(o.b, ',')
	}
}

// key begins a member of an object. Keys are constants that need no escaping.
func (o *object) key(key string) {
	o.element()
	o.b = append(o.b, '"')
	o.b = append(o.b, key...)
	o.b = append(o.b, '"', ':')
}

// appendString appends s as a JSON string of printable ASCII: everything else is escaped, so that
// no value can break a line or speak to a terminal.
func appendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		n := plain(s)
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

// plain returns how many bytes at the beginning of s stand for themselves.
func plain[S string | []byte](s S) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

func appendUnit(dst []byte, u uint16) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[u>>12], digits[u>>8&15], digits[u>>4&15], digits[u&15])
}
