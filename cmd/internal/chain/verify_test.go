package chain

import (
	"bytes"
	"testing"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
)

// FuzzVerify: whatever the bytes are, a log that is accepted consists of records that are in order
// and have their hashes.
func FuzzVerify(f *testing.F) {
	w := record.Writer{Chain: record.NewChain(nil)}
	whole := w.Handshake(nil, 1, &record.Attributed{Record: recordtest.Handshake(1, recordtest.Start)})
	f.Add(w.Handshake(whole, 2, &record.Attributed{Record: recordtest.Refused()}))
	f.Add([]byte(`{"seq":1,"prev":"","hash":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := record.NewChain(nil)
		v := verifier{chain: c}
		v.read("log", bytes.NewReader(data))
		v.judge()
		if len(v.Breaks) > 0 || v.Unproven {
			return
		}
		var last record.Digest
		for line := range bytes.Lines(data) {
			l, ok := record.LinkOf(bytes.TrimSuffix(line, []byte("\n")))
			if !ok || c.Sum(l.Text) != l.Hash || last != (record.Digest{}) && l.Prev != last {
				t.Fatalf("accepted %q", line)
			}
			last = l.Hash
		}
	})
}
