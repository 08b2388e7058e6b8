package proof

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
)

// Records from which any one member was left out on the way to the store are not taken for altered
// ones, and records that are whole are proven.
func TestPartial(t *testing.T) {
	t.Parallel()
	w := record.Writer{Chain: record.NewChain(nil), Run: record.NewRun("gate", "boot", recordtest.Start)}
	lines := [][]byte{
		w.Handshake(nil, 1, &record.Attributed{
			Record: recordtest.Handshake(1, recordtest.Start),
			Opening: &record.Opening{
				Owner: &record.Owner{UID: 1000, User: "alice", PID: 4711, Process: "curl", Exe: "/usr/bin/curl"},
				Name:  &record.Name{Name: "www.example.com"},
			},
		}),
		w.Handshake(nil, 2, &record.Attributed{Record: recordtest.Refused()}),
		w.End(nil, 3, &record.End{Header: record.Header{Time: recordtest.Start.Add(time.Second)}, Records: record.Counts{Handshake: 2}}),
	}
	var keys []string
	for i := range lines {
		lines[i] = bytes.TrimSuffix(lines[i], []byte("\n"))
		record.Scan(lines[i], func(key, _ []byte) {
			if i < 2 && !slices.Contains(keys, string(key)) { // the end leaves whole
				keys = append(keys, string(key))
			}
		})
	}
	verified := func(fields fleet.Fields) chain.Verified {
		v, err := chain.VerifyLines(record.NewChain(nil), "log", nil, func(f func(line []byte) error) error {
			for _, line := range lines {
				_, r, _ := fields.Append(nil, line)
				if err := f(r.Line); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	kept := []string{"time", "level", "msg", "seq", "run_id", "prev", "hash"} // always
	for _, without := range keys {
		fields := fleet.FieldsOf(slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key == without }))
		v := verified(fields)
		if len(v.Breaks) > 0 {
			t.Errorf("without %s: %q", without, v.Breaks)
		}
		if whole := slices.Contains(kept, without); whole != (v.Partial == 0) {
			t.Errorf("without %s: %d partial records", without, v.Partial)
		}
	}
	if v := verified(fleet.FieldsOf(keys)); len(v.Breaks) > 0 || v.Partial > 0 {
		t.Errorf("with all members: %+v", v)
	}
}
