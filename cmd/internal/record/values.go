package record

import (
	"bytes"
	"iter"
)

// Scan goes over a line, without its end, as Line.Scan does, and calls f with each member: the key
// without escapes and the value as it stands there. The members count only if the
// line is a record.
func Scan(line []byte, f func(key, value []byte)) Form {
	var s scanner
	var time, msg, seq []byte
	end := s.members(line, s.spaces(line, 0), 0, func(key, value []byte) bool {
		if bytes.IndexByte(key, '\\') >= 0 {
			key = []byte(Unquote(key))
		}
		switch string(key) {
		case "time":
			time = value
		case "msg":
			msg = value
		case "seq":
			seq = value
		}
		f(key, value)
		return true
	})
	if end < 0 || s.spaces(line, end) != len(line) {
		return None
	}
	return s.form(time, msg, seq)
}

// Members yields the members of an object that Scan has gone over: the key as it stands between
// its quotes, and the value as it stands there. Another value has none.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		var s scanner
		s.members(object, s.spaces(object, 0), 0, yield)
	}
}

// Elements yields the elements of a list as Members does the members of an object.
func Elements(list []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		if len(list) == 0 || list[0] != '[' {
			return
		}
		var s scanner
		s.elements(list, 0, 0, yield)
	}
}

// Text returns the bytes between the quotes of a string, which Unquote turns into text; another
// value it returns as it stands there.
func Text(value []byte) []byte { return unquoted(value) }
