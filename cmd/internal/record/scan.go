package record

import (
	"bytes"
	"encoding/json"
)

// Form is the form of a line.
type Form uint8

// The values of [Form].
const (
	None    Form = iota // no record
	Plain               // a record of printable ASCII without spaces between values, as Writer writes it
	Foreign             // a record in another form
)

// Begin is how each record of a Writer begins.
const Begin = `{"time":"`

// Member is a member of a record that readers ask for.
type Member uint8

// The values of [Member]. Each is named like its key.
const (
	Time Member = iota
	Msg
	Seq
	RunID
	Outcome
	Src
	SPort
	Dst
	DPort
	Process
	Lines
	Segments
	First
	Last
	Reason
	members
	unknown
)

func memberOf(key []byte) Member {
	if bytes.IndexByte(key, '\\') >= 0 {
		key = []byte(Unquote(key))
	}
	switch string(key) {
	case "time":
		return Time
	case "msg":
		return Msg
	case "seq":
		return Seq
	case "run_id":
		return RunID
	case "outcome":
		return Outcome
	case "src":
		return Src
	case "sport":
		return SPort
	case "dst":
		return Dst
	case "dport":
		return DPort
	case "process":
		return Process
	case "lines":
		return Lines
	case "segments":
		return Segments
	case "first":
		return First
	case "last":
		return Last
	case "reason":
		return Reason
	}
	return unknown
}

// Line is a record whose members are found, and not decoded. Scan and Seek set it; it refers to the
// line's memory.
type Line struct {
	values [members][]byte // as they stand there; nil = absent
}

// Scan goes over a line, without its end, and returns its form.
func (l *Line) Scan(line []byte) Form {
	*l = Line{}
	var s scanner
	if end := l.object(&s, line, members); end < 0 || s.spaces(line, end) != len(line) {
		return None
	}
	return s.form(l.values[Time], l.values[Msg], l.values[Seq])
}

// Seek goes over a line up to the member m, and reports whether that is there. The members before
// it are found too; those behind it are not, and the rest of the line may be anything.
func (l *Line) Seek(line []byte, m Member) bool {
	*l = Line{}
	var s scanner
	l.object(&s, line, m)
	return l.values[m] != nil
}

// object goes over an object, or up to the member last in it.
func (l *Line) object(s *scanner, b []byte, last Member) (end int) {
	return s.members(b, s.spaces(b, 0), 0, func(key, value []byte) bool {
		m := memberOf(key)
		if m < members {
			l.values[m] = value
		}
		return m != last
	})
}

// Raw returns the value of a member as it stands in the line, a string with its quotes; nil if
// there is none.
func (l *Line) Raw(m Member) []byte { return l.values[m] }

// Get is Raw for strings: it returns the bytes between the quotes, which Unquote turns into text.
func (l *Line) Get(m Member) []byte { return unquoted(l.values[m]) }

func unquoted(value []byte) []byte {
	if len(value) >= 2 && value[0] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// Number returns the value of a member that is a whole number.
func (l *Line) Number(m Member) (n uint64, ok bool) { return Number(l.values[m]) }

// Seq returns the number of the record.
func (l *Line) Seq() (n uint64, ok bool) { return l.Number(Seq) }

// Number returns a value that is a whole number.
func Number(b []byte) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// Unquote returns the text of a string that Get has returned.
func Unquote(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, b...), '"'), &s) != nil {
		return string(b)
	}
	return s
}

// Strings calls f with each string of a list, as Get returns them, until f returns false.
func Strings(list []byte, f func(text []byte) bool) {
	if len(list) == 0 || list[0] != '[' {
		return
	}
	var s scanner
	s.elements(list, 0, 0, func(value []byte) bool { return value[0] != '"' || f(unquoted(value)) })
}

// form judges an object that has been scanned by its first members.
func (s *scanner) form(time, msg, seq []byte) Form {
	switch _, numbered := Number(seq); {
	case !numbered || len(unquoted(time)) == 0 || len(unquoted(msg)) == 0:
		return None
	case s.foreign:
		return Foreign
	}
	return Plain
}
