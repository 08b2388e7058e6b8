package record

import (
	"bytes"
	"encoding/binary"
)

// scanner goes over JSON (RFC 8259) without decoding it. Its methods return the offset behind a
// value, or a negative number if there is no value.
type scanner struct {
	foreign bool // spaces between values, or bytes beyond printable ASCII in strings, were seen
}

// maxDepth of values within each other; a record's have three.
const maxDepth = 64

func (s *scanner) value(b []byte, at, depth int) int {
	if at >= len(b) {
		return -1
	}
	switch c := b[at]; {
	case c == '"':
		return s.text(b, at)
	case c == '{':
		return s.members(b, at, depth+1, nil)
	case c == '[':
		return s.elements(b, at, depth+1, nil)
	case c == '-' || c >= '0' && c <= '9':
		return endOfNumber(b, at)
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(b[at:], []byte(word)) {
			return at + len(word)
		}
	}
	return -1
}

// members goes over an object. f is called with each key, as it stands between its quotes, and its
// value, until it returns false; nil calls nothing.
func (s *scanner) members(b []byte, at, depth int, f func(key, value []byte) bool) (end int) {
	if at >= len(b) || b[at] != '{' || depth > maxDepth {
		return -1
	}
	at = s.spaces(b, at+1)
	if at < len(b) && b[at] == '}' {
		return at + 1
	}
	for {
		begin := s.spaces(b, at)
		if begin >= len(b) || b[begin] != '"' {
			return -1
		}
		keyEnd := s.text(b, begin)
		if keyEnd < 0 {
			return -1
		}
		if at = s.spaces(b, keyEnd); at >= len(b) || b[at] != ':' {
			return -1
		}
		from := s.spaces(b, at+1)
		if at = s.value(b, from, depth); at < 0 {
			return -1
		}
		if f != nil && !f(b[begin+1:keyEnd-1], b[from:at]) {
			return at
		}
		more, next := s.next(b, at, '}')
		if !more {
			return next
		}
		at = next
	}
}

// elements goes over a list as members does over an object.
func (s *scanner) elements(b []byte, at, depth int, f func(value []byte) bool) (end int) {
	if depth > maxDepth {
		return -1
	}
	at = s.spaces(b, at+1)
	if at < len(b) && b[at] == ']' {
		return at + 1
	}
	for {
		from := s.spaces(b, at)
		if at = s.value(b, from, depth); at < 0 {
			return -1
		}
		if f != nil && !f(b[from:at]) {
			return at
		}
		more, next := s.next(b, at, ']')
		if !more {
			return next
		}
		at = next
	}
}

// next goes over the comma behind a value, or the end of the object or list that holds it.
func (s *scanner) next(b []byte, at int, last byte) (more bool, end int) {
	if at = s.spaces(b, at); at >= len(b) {
		return false, -1
	}
	switch b[at] {
	case ',':
		return true, at + 1
	case last:
		return false, at + 1
	}
	return false, -1
}

// spaces goes over spaces, of which a Writer writes none.
func (s *scanner) spaces(b []byte, at int) int {
	if at < len(b) && b[at] > ' ' {
		return at
	}
	return s.skip(b, at)
}

func (s *scanner) skip(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\r' || b[at] == '\n') {
		at++
		s.foreign = true
	}
	return at
}

// inside are the bytes that mean themselves in a string.
var inside = func() (t [256]bool) {
	for c := ' '; c <= '~'; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// allInside reports whether all of eight bytes mean themselves. (x-1)&^x has the high bit of a byte
// set where that is zero, and perhaps in one above it.
func allInside(x uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, backslash, del := x^ones*'"', x^ones*'\\', x^ones*0x7f
	return (x|(x-ones*' ')&^x|(quote-ones)&^quote|(backslash-ones)&^backslash|(del-ones)&^del)&high == 0
}

func (s *scanner) text(b []byte, at int) int {
	for at++; at < len(b); at++ {
		for at+8 <= len(b) && allInside(binary.LittleEndian.Uint64(b[at:])) {
			at += 8
		}
		for at < len(b) && inside[b[at]] {
			at++
		}
		if at >= len(b) {
			break
		}
		switch c := b[at]; {
		case c == '"':
			return at + 1
		case c == '\\':
			if at = escape(b, at+1); at < 0 {
				return -1
			}
		case c < ' ':
			return -1
		default:
			s.foreign = true
		}
	}
	return -1
}

// escape returns where the last byte of an escape stands, of which the backslash stands before at.
func escape(b []byte, at int) int {
	if at >= len(b) {
		return -1
	}
	switch b[at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return at
	}
	if b[at] != 'u' || at+4 >= len(b) {
		return -1
	}
	for _, c := range b[at+1 : at+5] {
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
			return -1
		}
	}
	return at + 4
}

func endOfNumber(b []byte, at int) int {
	if b[at] == '-' {
		at++
	}
	end := digits(b, at)
	if end == at || b[at] == '0' && end > at+1 {
		return -1
	}
	if at = end; at < len(b) && b[at] == '.' {
		if end = digits(b, at+1); end == at+1 {
			return -1
		}
		at = end
	}
	if at < len(b) && b[at]|0x20 == 'e' {
		if at++; at < len(b) && (b[at] == '+' || b[at] == '-') {
			at++
		}
		if end = digits(b, at); end == at {
			return -1
		}
		at = end
	}
	return at
}

// digits goes over digits.
func digits(b []byte, at int) int {
	for at < len(b) && b[at] >= '0' && b[at] <= '9' {
		at++
	}
	return at
}
