package chain

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
)

// announcing returns the lines of a log of 20 records, which says behind them that those from 5 to
// 8 are gone, and has an end.
func announcing() (lines [][]byte) {
	w := record.Writer{Chain: record.NewChain(nil), Run: record.NewRun("gate", "boot", recordtest.Start)}
	add := func(line []byte) { lines = append(lines, bytes.TrimSuffix(line, []byte("\n"))) }
	for seq := range uint64(20) {
		r := recordtest.Handshake(uint16(1000+seq), recordtest.Start)
		add(w.Handshake(nil, seq+1, &record.Attributed{Record: r}))
	}
	at := recordtest.Start.Add(time.Second)
	add(w.Gap(nil, 21, &record.Gap{
		Header: record.Header{Time: at}, From: at, To: at, First: 5, Last: 8, Reason: record.FleetFull,
	}))
	add(w.End(nil, 22, &record.End{
		Header: record.Header{Time: at}, Records: record.Counts{Handshake: 20, Gap: 1},
	}))
	return lines
}

// TestVerifyLinesAnnounced: records that the log says are gone are not missed, others are.
func TestVerifyLinesAnnounced(t *testing.T) {
	t.Parallel()
	all := announcing()
	for _, tt := range []struct {
		name        string
		first, last int // seq of the records that the store lacks
		want        string
	}{
		{"whole", 0, -1, ""},
		{"announced", 5, 8, ""},
		{"fewer", 6, 7, ""},
		{"one more behind", 5, 9, "log: seq 9 is missing"},
		{"one more before", 4, 8, "log: seq 4 is missing"},
		{"others", 11, 12, "log: seq 11 to 12 are missing"},
	} {
		lines := slices.Clone(all)
		if tt.first > 0 {
			lines = slices.Delete(lines, tt.first-1, tt.last)
		}
		v, err := VerifyLines(record.NewChain(nil), "log", nil, func(f func(line []byte) error) error {
			for _, line := range lines {
				if err := f(line); err != nil {
					return err
				}
			}
			return nil
		})
		if got := strings.Join(v.Breaks, "\n"); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// TestVerifyLinesUnchained: records without a chain prove nothing, and those that follow each other
// are one break.
func TestVerifyLinesUnchained(t *testing.T) {
	t.Parallel()
	all := announcing()
	for _, tt := range []struct {
		first, last int // records that lose their hash
		want        string
		unchained   bool
	}{
		{1, len(all), fmt.Sprintf("log: seq 1 to %d are not part of a chain", len(all)), true},
		{len(all), len(all), fmt.Sprintf("log: seq %d is not part of a chain", len(all)), false},
	} {
		lines := slices.Clone(all)
		for i := tt.first - 1; i < tt.last; i++ {
			at := bytes.Index(lines[i], []byte(`,"prev":`))
			lines[i] = append(bytes.Clone(lines[i][:at]), '}')
		}
		v, err := VerifyLines(record.NewChain(nil), "log", nil, func(f func(line []byte) error) error {
			for _, line := range lines {
				if err := f(line); err != nil {
					return err
				}
			}
			return nil
		})
		if got := strings.Join(v.Breaks, "\n"); err != nil || got != tt.want || v.Unchained != tt.unchained {
			t.Errorf("%q, unchained %v, %v, want %q, %v", got, v.Unchained, err, tt.want, tt.unchained)
		}
	}
}

// TestVerifyLinesPartial: a record without all of its members is in its place, and its content is
// not proven.
func TestVerifyLinesPartial(t *testing.T) {
	t.Parallel()
	lines := announcing()
	at := bytes.Index(lines[6], []byte(`,"lines":`))
	end := bytes.Index(lines[6], []byte(`,"community_id":`))
	lines[6] = slices.Concat(lines[6][:at], lines[6][end:])
	v, err := VerifyLines(record.NewChain(nil), "log", nil, func(f func(line []byte) error) error {
		for _, line := range lines {
			_ = f(line)
		}
		return nil
	})
	if err != nil || len(v.Breaks) > 0 || v.Partial != 1 || v.Last != 22 {
		t.Errorf("%+v, %v", v, err)
	}
}
