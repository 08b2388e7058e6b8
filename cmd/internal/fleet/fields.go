package fleet

import (
	"bytes"
	"slices"

	"syntap/cmd/internal/record"
)

// Fields are the members of records that leave the host.
type Fields struct {
	keep map[string]bool // nil = all
}

// kept are the members without which a record is none.
var kept = []string{"time", "level", "msg", "seq", "run_id", "prev", "hash"}

// FieldsOf returns the fields of a list of keys; without keys, all.
func FieldsOf(keys []string) Fields {
	if len(keys) == 0 {
		return Fields{}
	}
	keep := make(map[string]bool)
	for _, key := range slices.Concat(kept, keys) {
		keep[key] = true
	}
	return Fields{keep}
}

// partial marks a line from which members were left out: its hash is that of the whole line.
const partial = `"partial":true`

// memberOf returns the member of a key; ok is false where no store is searched by it.
func memberOf(key []byte) (m Member, ok bool) {
	switch string(key) { // faster than a map: each key of each record comes here
	case "msg":
		return Msg, true
	case "proto":
		return Proto, true
	case "outcome":
		return Outcome, true
	case "src":
		return Src, true
	case "dst":
		return Dst, true
	case "dport":
		return DPort, true
	case "name":
		return Name, true
	case "process":
		return Process, true
	case "community_id":
		return CommunityID, true
	}
	return 0, false
}

// textOf returns the text of a value, in the memory of the value where nothing is escaped in it.
func textOf(value []byte) []byte {
	text := record.Text(value)
	if bytes.IndexByte(text, '\\') >= 0 {
		return []byte(record.Unquote(text))
	}
	return text
}

// Append makes a record of a line of the log, without its end, and appends the fields of the line
// that leave the host to dst, with the member "partial" where others were left out. The record
// lies there. ok is false where the line is no record. Records of gaps and ends are not about
// clients, and stay whole.
func (f Fields) Append(dst, line []byte) (grown []byte, r Record, ok bool) {
	begin := len(dst)
	if f.keep == nil {
		dst = append(dst, line...)
	} else {
		dst = f.appendKept(dst, line)
	}
	r.Line = dst[begin:len(dst):len(dst)]
	timed := false
	form := record.Scan(r.Line, func(key, value []byte) {
		if m, ok := memberOf(key); ok {
			r.Members[m] = textOf(value)
			return
		}
		switch string(key) {
		case "seq":
			r.Seq, _ = record.Number(value)
		case "time":
			timed = r.Time.UnmarshalText(textOf(value)) == nil
		}
	})
	return dst, r, timed && form != record.None
}

// appendKept appends a line, without the members that do not leave the host; nothing where the line
// is no record.
func (f Fields) appendKept(dst, line []byte) []byte {
	begin := len(dst)
	dst = append(dst, '{')
	comma := func() {
		if len(dst) > begin+1 {
			dst = append(dst, ',')
		}
	}
	whole, left := false, false // left: members were left out
	form := record.Scan(line, func(key, value []byte) {
		if string(key) == "msg" {
			msg := string(record.Text(value))
			whole = msg == "gap" || msg == "end"
		}
		if !f.keep[string(key)] {
			left = true
			return
		}
		if left && string(key) == "prev" { // which has to stand at the end
			comma()
			dst, left = append(dst, partial...), false
		}
		comma()
		dst = append(record.AppendString(dst, string(key)), ':')
		dst = append(dst, value...)
	})
	switch {
	case form == record.None:
		return dst[:begin]
	case whole:
		return append(dst[:begin], line...)
	case left:
		comma()
		dst = append(dst, partial...)
	}
	return append(dst, '}')
}

// contradicts reports whether a line of a store is of another record than a line of the log: it has
// a member that the log's line has not, or has otherwise, but for the mark that it is partial.
func contradicts(ours, theirs []byte) bool {
	if bytes.Equal(ours, theirs) {
		return false
	}
	members := make(map[string]string)
	if record.Scan(ours, func(key, value []byte) { members[string(key)] = string(value) }) == record.None {
		return true
	}
	differ := false
	form := record.Scan(theirs, func(key, value []byte) {
		own, ok := members[string(key)]
		if marked := !ok && string(key) == "partial"; !marked && (!ok || own != string(value)) {
			differ = true
		}
	})
	return differ || form == record.None
}
