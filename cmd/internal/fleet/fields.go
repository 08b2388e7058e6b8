package fleet

import (
	"bytes"
	"slices"
	"time"

	"syntap/cmd/internal/record"
)

// Words that stand for members of records.
const (
	AllFields     = "all"
	MinimalFields = "minimal"
)

// Fields are the members of records that leave the host.
type Fields struct {
	keep map[string]bool // nil = all
}

// kept are the members without which a record is none.
var kept = []string{"time", "level", "msg", "seq", "run_id", "prev", "hash"}

// minimal are the members by which connections are found, and by which their records join.
var minimal = []string{
	"proto", "outcome", "family", "src", "sport", "dst", "dport", "handshake_seq", "datagram_seq",
}

// FieldsOf returns the fields of a list of keys, or of one of the words.
func FieldsOf(keys []string) Fields {
	if slices.Contains(keys, AllFields) || len(keys) == 0 {
		return Fields{}
	}
	keep := make(map[string]bool)
	for _, key := range slices.Concat(kept, keys) {
		keep[key] = true
	}
	if keep[MinimalFields] {
		for _, key := range minimal {
			keep[key] = true
		}
	}
	return Fields{keep}
}

// partial marks a line from which members were left out: its hash is that of the whole line.
const partial = `"partial":true`

// member returns the member of a key.
func member(key []byte) (m Member, ok bool) {
	for m := range NumMembers {
		if string(key) == m.Key() {
			return m, true
		}
	}
	return 0, false
}

// Append makes a record of a line of the log, without its end, and appends the fields of the line
// that leave the host to dst, with the member "partial" where others were left out. ok is false
// where the line is no record. Records of gaps and ends are not about clients, and stay whole.
func (f Fields) Append(dst, line []byte) (grown []byte, r Record, ok bool) {
	begin := len(dst)
	var seq, at, msg []byte
	dst = append(dst, '{')
	comma := func() {
		if len(dst) > begin+1 {
			dst = append(dst, ',')
		}
	}
	left := false // members out
	form := record.Scan(line, func(key, value []byte) {
		switch string(key) {
		case "seq":
			seq = value
		case "time":
			at = value
		case "msg":
			msg = value
		}
		if f.keep != nil && !f.keep[string(key)] {
			left = true
			return
		}
		if m, ok := member(key); ok {
			r.Members[m] = record.Unquote(record.Text(value))
		}
		if f.keep == nil {
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
	if form == record.None {
		return dst[:begin], r, false
	}
	if left {
		comma()
		dst = append(dst, partial...)
	}
	dst = append(dst, '}')
	if whole := string(record.Text(msg)); f.keep == nil || whole == "gap" || whole == "end" {
		dst = append(dst[:begin], line...)
	}
	r.Seq, _ = record.Number(seq)
	var err error
	r.Time, err = time.Parse(time.RFC3339Nano, record.Unquote(record.Text(at)))
	r.Line = dst[begin:len(dst):len(dst)]
	return dst, r, err == nil
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
