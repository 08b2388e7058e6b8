package chain

import (
	"bytes"
	"slices"
	"strings"
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

// TestOddLines finds lines that are no records, and goes on behind them.
func TestOddLines(t *testing.T) {
	t.Parallel()
	w := record.Writer{Chain: record.NewChain(nil)}
	first := string(w.Handshake(nil, 1, &record.Attributed{Record: recordtest.Refused()}))
	second := string(w.Handshake(nil, 2, &record.Attributed{Record: recordtest.Refused()}))
	const atBegin = "seq 1 is missing at the beginning, and the log does not say that they were rotated away"
	for _, tt := range []struct {
		log  string
		want []string
	}{
		{first + second, nil},
		{first + strings.Repeat("x", 3<<20) + "\n" + second, []string{"log: the line after seq 1 is longer than any record"}},
		{first + "\x00\n" + second, []string{"log: the line after seq 1 is not a record"}},
		{first + "a\nb\nc\n" + second, []string{"log: the line after seq 1 is not a record"}},
		{first + strings.Repeat("\n", 1<<22) + second, []string{"log: the line after seq 1 is not a record"}},
		{"\ufeff\n" + second, []string{"log: the first line is not a record", atBegin}},
	} {
		v := verifier{chain: record.NewChain(nil)}
		v.read("log", strings.NewReader(tt.log))
		v.judge()
		if !slices.Equal(v.Breaks, tt.want) {
			t.Errorf("%.30q: %q, want %q", tt.log, v.Breaks, tt.want)
		}
	}
}
