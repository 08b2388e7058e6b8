package audit

import (
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
	"syntap/tun/tuntest"
)

// shipped is a log in files of one record each, three of which rotation keeps.
type shipped struct {
	t         *testing.T
	sink      *Sink
	path      string
	confirmed atomic.Uint64
	spool     Spool
}

func newShipped(t *testing.T, chained bool, spool Spool) *shipped {
	s := &shipped{t: t, path: logPath(t), spool: spool}
	s.confirmed.Store(spool.Confirmed)
	s.sink = open(t, config.Sink{Format: config.JSON, Path: s.path, MaxSize: 1, MaxFiles: 3, Chain: chained}, Options{
		Spool: func(path string) (Spool, bool) {
			now := s.spool
			now.Confirmed = s.confirmed.Load()
			return now, path == s.path
		},
	})
	return s
}

func (s *shipped) write(n int) {
	s.t.Helper()
	for range n {
		must(s.t, s.sink.Record(established(1, start)))
	}
	must(s.t, s.sink.Flush()) // the gap that the last one brings about
}

// first waits until the oldest file begins with a record.
func (s *shipped) first(want uint64) {
	s.t.Helper()
	tuntest.Wait(s.t, "the oldest files to go", func() bool {
		files, err := logfile.Files(s.path)
		must(s.t, err)
		first, err := record.FirstSeq(files[0])
		return err == nil && first == want
	})
}

// gaps returns the gaps of the log that are there.
func (s *shipped) gaps() (all []record.Gap) {
	_, texts := contents(s.t, s.path)
	for line := range strings.Lines(strings.Join(texts, "")) {
		var g record.Gap
		must(s.t, json.Unmarshal([]byte(line), &g))
		if g.Msg == "gap" {
			all = append(all, g)
		}
	}
	return all
}

// Files stay until the stores have their records.
func TestSpoolKeeps(t *testing.T) {
	t.Parallel()
	for _, chained := range []bool{false, true} {
		s := newShipped(t, chained, Spool{Size: 1 << 20, Drop: true})
		s.write(10)
		s.first(1)
		s.confirmed.Store(5)
		s.write(1)
		s.first(6)
		s.write(3)
		s.first(6)
		for _, g := range s.gaps() {
			if !chained || g.Reason != record.Rotated || g.Last > 5 {
				t.Errorf("chained %t: gap %+v", chained, g)
			}
		}
		must(t, s.sink.Close())
	}
}

// When the spool is full the oldest go, which the log says and verify accepts.
func TestSpoolDrops(t *testing.T) {
	t.Parallel()
	for _, chained := range []bool{false, true} {
		s := newShipped(t, chained, Spool{Size: 4000, Drop: true, Confirmed: 3})
		s.write(30)
		tuntest.Wait(t, "the oldest files to go", func() bool {
			files, err := logfile.Files(s.path)
			must(t, err)
			return len(files) < 12
		})
		must(t, s.sink.Close())
		files, err := logfile.Files(s.path)
		must(t, err)
		first, err := record.FirstSeq(files[0])
		must(t, err)
		// Each names all that the stores lack: the one before may go before they have it.
		full := slices.DeleteFunc(s.gaps(), func(g record.Gap) bool { return g.Reason != record.FleetFull })
		if len(full) == 0 || full[len(full)-1].First != 4 || full[len(full)-1].Last < first-1 || full[0].Level != "warning" {
			t.Errorf("chained %t: the log begins with %d and says %+v", chained, first, full)
		}
		if !chained {
			continue
		}
		v, err := chain.Verify(t.Context(), files, chain.Verifying{})
		if len(v.Breaks) > 0 || err != nil {
			t.Errorf("breaks %q, %v", v.Breaks, err)
		}
	}
}

// With suspend nothing goes, and new connections wait until the stores have enough.
func TestSpoolSuspends(t *testing.T) {
	t.Parallel()
	s := newShipped(t, false, Spool{Size: 4000})
	l := NewLog([]*Sink{s.sink}, LogOptions{})
	if l.wait() {
		t.Fatal("new connections have to wait before the first record")
	}
	s.write(30)
	if !l.wait() {
		t.Error("new connections need not wait with a full spool")
	}
	s.first(1)
	s.confirmed.Store(29)
	if l.wait() {
		t.Error("new connections have to wait when the stores have the records")
	}
	must(t, s.sink.Close())
}
