package format

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"testing"
	"unicode"

	"syntap/cmd/internal/record"
)

// FuzzDecode: whatever a line of JSON says, each form of it is one printable line, and of JSON
// where the form is JSON.
func FuzzDecode(f *testing.F) {
	for _, line := range samples(f) {
		f.Add([]byte(line))
	}
	f.Add([]byte(`{"seq":1,"msg":"flow","time":"9999-12-31T23:59:59Z","duration_us":9223372036854775807,"src":"fe80::1%,` + "\u202e" + `"}`))
	f.Add([]byte(`{"seq":1,"time":"x","msg":"handshake","upstream":{"local":"[fe80::1%\u0022\n]:80"},"dst":"fe80::1%\u0022\u001b"}`))
	f.Add([]byte(`{"seq":1,"time":"x","msg":"flow","dns":{"answers":[{"type":"AAAA","data":"fe80::1%\u0022\u001b"}]}}`))
	f.Add([]byte(`{"seq":1,"time":"x","msg":"gap"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var r Record
		if new(Decoder).Decode(line, &r) == record.None {
			return
		}
		outputs := [][]byte{new(OCSF).Append(nil, &r), new(ECS).Append(nil, &r), new(ZeekLog).Append(nil, &r)}
		for _, b := range outputs {
			if len(b) > 0 && !json.Valid(b) {
				t.Errorf("not JSON: %q", b)
			}
		}
		switch r.Type {
		case Handshake, Datagram, Flow:
			row := new(CSV).Append(nil, connection(&r))
			if fields, err := csv.NewReader(bytes.NewReader(row)).Read(); err != nil || len(fields) != len(csvColumns) {
				t.Errorf("%d fields, %v: %q", len(fields), err, row)
			}
			outputs = append(outputs, row, new(Line).Append(nil, connection(&r)))
		case Finding:
			outputs = append(outputs, new(Line).Finding(nil, &r))
		case Other, Gap, End:
		}
		for _, b := range outputs {
			text, whole := bytes.CutSuffix(b, []byte("\n"))
			if len(b) > 0 && !whole || bytes.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
				t.Errorf("%q", b)
			}
		}
	})
}
