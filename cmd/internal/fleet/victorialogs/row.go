package victorialogs

import (
	"bytes"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/record"
)

// Row is a record as the store has it. Its line is the caller's.
type Row struct {
	fleet.LogID
	Seq  uint64
	Line []byte // without its end
}

// rowOf reads a row of an answer. Members that are not there, or not as routers write them, are
// zero.
func rowOf(row []byte) (r Row) {
	for key, value := range record.Members(row) {
		switch string(key) {
		case "router":
			r.Router = record.Unquote(record.Text(value))
		case "log":
			r.Log = record.Unquote(record.Text(value))
		case "_msg":
			r.Line = unquote(record.Text(value))
		case "seq":
			var n number
			_ = n.UnmarshalJSON(value) // it has no errors
			r.Seq = uint64(n)
		}
	}
	return r
}

// unquote returns the text of a string of JSON, given the bytes between its quotes. Of all that an
// answer has, the lines of records are nearly everything, and quotes nearly all that is escaped in
// them.
func unquote(text []byte) []byte {
	if bytes.Contains(text, []byte(`\u`)) {
		return []byte(record.Unquote(text))
	}
	line, n := make([]byte, len(text)), 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			i++
			c = unescaped[text[i]]
		}
		line[n] = c
		n++
	}
	return line[:n]
}

// unescaped is what the byte behind a backslash stands for.
var unescaped = func() (t [256]byte) {
	for c := range t {
		t[c] = byte(c)
	}
	t['b'], t['f'], t['n'], t['r'], t['t'] = '\b', '\f', '\n', '\r', '\t'
	return t
}()
