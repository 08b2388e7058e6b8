package record

import (
	"bytes"
	"encoding/json"
)

// Members of a record, as they stand in it. Time is the first one.
const (
	Time    = `{"time":`
	Message = `,"msg":`
	Seq     = `,"seq":`
	Outcome = `,"outcome":`
	Src     = `,"src":`
	Dst     = `,"dst":`
	SPort   = `,"sport":`
	DPort   = `,"dport":`
	Process = `,"process":`
	Client  = `,"client":`
	Server  = `,"server":`
	Lines   = `,"lines":`
)

// Field returns the value of a member as it stands there, without the quotes of a string; nil if
// there is none.
func Field(line []byte, member string) []byte {
	at := bytes.Index(line, []byte(member))
	if at < 0 {
		return nil
	}
	value := line[at+len(member):]
	if len(value) > 0 && value[0] == '"' {
		return value[1 : 1+end(value[1:])]
	}
	return value[:max(0, bytes.IndexAny(value, ",}"))]
}

// Next returns the value of a member as Field does, and what stands behind it; the whole line if
// there is none.
func Next(line []byte, member string) (value, rest []byte) {
	value = Field(line, member)
	if value == nil {
		return nil, line
	}
	return value, line[cap(line)-cap(value)+len(value):]
}

// end returns where a string ends: at the first quote that is not escaped.
func end(value []byte) int {
	n := bytes.IndexByte(value, '"')
	if n < 0 {
		return 0 // cut short: no value
	}
	if bytes.IndexByte(value[:n], '\\') < 0 {
		return n
	}
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return 0
}

// String returns the text of a string that Field has found.
func String(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, b...), '"'), &s) != nil {
		return string(b)
	}
	return s
}

// Number reads a value that Field has found.
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
