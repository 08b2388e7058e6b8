package record

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
)

// Form is how a line stands.
type Form uint8

// The values of [Form].
const (
	None    Form = iota // it is no record
	Plain               // a record as audit writes it, of printable ASCII
	Foreign             // a record in another form: Normal has it in ours
)

// FormOf says whether a line, without its end, is a record: one JSON object (RFC 8259) with a time,
// a msg and a seq.
func FormOf(line []byte) Form {
	var s scanner
	if end := s.object(line, s.spaces(line, 0), 0); end < 0 || s.spaces(line, end) != len(line) {
		return None
	}
	if !s.foreign && bytes.HasPrefix(line, []byte(Time)) && isRecord(line) {
		return Plain
	}
	if _, ok := Normal(line); ok {
		return Foreign
	}
	return None
}

func isRecord(line []byte) bool {
	seq := Field(line, Seq)
	_, numbered := Number(seq)
	quoted := numbered && line[cap(line)-cap(seq)-1] == '"'
	return numbered && !quoted && len(Field(line, Message)) > 0 && len(Field(line, Time)) > 0
}

// Normal returns a record in the form that Field reads: without spaces, the members in an order of
// their own. ok is false for what is no record.
func Normal(line []byte) (normal []byte, ok bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(line, &members) != nil {
		return nil, false
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for _, key := range slices.SortedFunc(maps.Keys(members), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	}) {
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(key)
		if err != nil {
			return nil, false
		}
		out.Write(name)
		out.WriteByte(':')
		if err := json.Compact(&out, members[key]); err != nil {
			return nil, false
		}
	}
	out.WriteByte('}')
	normal = out.Bytes()
	return normal, isRecord(normal)
}

// rank orders the members that are read one behind the other; others follow.
func rank(key string) int {
	order := []string{"time", "level", "msg", "seq", "outcome", "src", "sport", "dst", "dport", "client", "server", "lines"}
	if i := slices.Index(order, key); i >= 0 {
		return i
	}
	return len(order)
}

// scanner goes through JSON without decoding it. Its functions return where a value ends, or a
// negative number where the value is none.
type scanner struct {
	foreign bool // there are spaces between values, or bytes beyond printable ASCII in strings
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
		return s.object(b, at, depth+1)
	case c == '[':
		return s.list(b, at, depth+1)
	case c == '-' || c >= '0' && c <= '9':
		return number(b, at)
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(b[at:], []byte(word)) {
			return at + len(word)
		}
	}
	return -1
}

func (s *scanner) object(b []byte, at, depth int) int {
	if at >= len(b) || b[at] != '{' || depth > maxDepth {
		return -1
	}
	at = s.spaces(b, at+1)
	if at < len(b) && b[at] == '}' {
		return at + 1
	}
	for {
		if at = s.spaces(b, at); at >= len(b) || b[at] != '"' {
			return -1
		}
		if at = s.text(b, at); at < 0 {
			return -1
		}
		if at = s.spaces(b, at); at >= len(b) || b[at] != ':' {
			return -1
		}
		more, end := s.element(b, at+1, depth, '}')
		if !more {
			return end
		}
		at = end
	}
}

func (s *scanner) list(b []byte, at, depth int) int {
	if depth > maxDepth {
		return -1
	}
	at = s.spaces(b, at+1)
	if at < len(b) && b[at] == ']' {
		return at + 1
	}
	for {
		more, end := s.element(b, at, depth, ']')
		if !more {
			return end
		}
		at = end
	}
}

// element goes over a value and what follows: a comma, or the end of what it is in.
func (s *scanner) element(b []byte, at, depth int, last byte) (more bool, end int) {
	if at = s.value(b, s.spaces(b, at), depth); at < 0 {
		return false, -1
	}
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

func (s *scanner) spaces(b []byte, at int) int {
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
	if bytes.IndexByte([]byte(`"\/bfnrt`), b[at]) >= 0 {
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

func number(b []byte, at int) int {
	digits := func() bool {
		from := at
		for at < len(b) && b[at] >= '0' && b[at] <= '9' {
			at++
		}
		return at > from
	}
	if b[at] == '-' {
		at++
	}
	if at < len(b) && b[at] == '0' {
		at++
	} else if !digits() {
		return -1
	}
	if at < len(b) && b[at] == '.' {
		if at++; !digits() {
			return -1
		}
	}
	if at < len(b) && b[at]|0x20 == 'e' {
		if at++; at < len(b) && (b[at] == '+' || b[at] == '-') {
			at++
		}
		if !digits() {
			return -1
		}
	}
	return at
}
