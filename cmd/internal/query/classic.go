package query

import (
	"bytes"
	"strconv"
)

// appendClassic appends a modern line in the classic dialect; a line that is not of a whole TCP
// segment stays as it is.
func appendClassic(dst, line []byte, df bool) []byte {
	s, ok := parseModern(line)
	if !ok {
		return append(dst, line...)
	}
	dst = append(append(dst, s.ends...), ' ')
	dst = appendFlags(dst, s.flags)
	if s.seq != nil {
		if s.until == nil { // no payload
			s.until = s.seq
		}
		dst = append(append(append(dst, ' '), s.seq...), ':')
		dst = append(append(append(append(dst, s.until...), '('), s.length...), ')')
	}
	for _, f := range []struct {
		word  string
		value []byte
	}{{" ack ", s.ack}, {" win ", s.win}, {" urg ", s.urg}} {
		if f.value != nil {
			dst = append(append(dst, f.word...), f.value...)
		}
	}
	if s.options != nil {
		dst = append(appendOptions(append(dst, " <"...), s.options), '>')
	}
	if df {
		dst = append(dst, " (DF)"...)
	}
	return dst
}

// modernSegment is a line of the modern dialect, taken apart.
type modernSegment struct {
	ends, flags, seq, until, ack, win, urg, options, length []byte // nil = absent
}

func parseModern(line []byte) (s modernSegment, ok bool) {
	_, rest, _ := bytes.Cut(line, []byte(" ")) // "IP" or "IP6"
	s.ends, rest, ok = bytes.Cut(rest, []byte(" Flags ["))
	if !ok {
		return s, false
	}
	s.flags, rest, ok = bytes.Cut(rest, []byte("]"))
	take := func(word string) (value []byte) {
		after, found := bytes.CutPrefix(rest, []byte(word))
		if !found {
			return nil
		}
		n := bytes.IndexByte(after, ',')
		if n < 0 {
			n = len(after)
		}
		rest = after[n:]
		return after[:n]
	}
	if seq := take(", seq "); seq != nil {
		s.seq, s.until, _ = bytes.Cut(seq, []byte(":"))
	}
	s.ack, s.win, s.urg = take(", ack "), take(", win "), take(", urg ")
	if after, found := bytes.CutPrefix(rest, []byte(", options [")); found {
		n := bytes.Index(after, []byte("], length "))
		if n < 0 {
			return s, false
		}
		s.options, rest = after[:n], after[n+1:]
	}
	s.length = take(", length ")
	_, err := strconv.Atoi(string(s.length))
	return s, ok && err == nil && len(rest) == 0
}

// appendFlags appends flags in the order of the classic dialect, which shows ACK and URG by their
// numbers only.
func appendFlags(dst, flags []byte) []byte {
	before := len(dst)
	if string(flags) != "none" {
		for _, letter := range []byte("SFRPWE") {
			if bytes.IndexByte(flags, letter) >= 0 {
				dst = append(dst, letter)
			}
		}
	}
	if len(dst) == before {
		dst = append(dst, '.')
	}
	return dst
}

// appendOptions appends options, of which the time stamps differ: "TS val 1 ecr 0" is "timestamp 1
// 0".
func appendOptions(dst, options []byte) []byte {
	before, after, found := bytes.Cut(options, []byte("TS val "))
	value, echo, whole := bytes.Cut(after, []byte(" ecr "))
	if !found || !whole {
		return append(dst, options...)
	}
	dst = append(append(dst, before...), "timestamp "...)
	dst = append(append(dst, value...), ' ')
	return append(dst, echo...)
}
