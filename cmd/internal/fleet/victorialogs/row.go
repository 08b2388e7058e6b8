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
	line := make([]byte, 0, len(text))
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 == len(text) {
			return append(line, text...)
		}
		line = append(line, text[:i]...)
		c := text[i+1]
		if at := bytes.IndexByte([]byte("bfnrt"), c); at >= 0 {
			c = "\b\f\n\r\t"[at]
		}
		line, text = append(line, c), text[i+2:]
	}
}
