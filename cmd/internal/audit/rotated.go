package audit

import (
	"os"
	"slices"

	"syntap/cmd/internal/record"
)

// Spool determines which rotated files of a log must stay, because stores get its records (package
// fleet).
type Spool struct {
	Confirmed uint64 // the stores have all records up to this number
	Size      int64  // most bytes of files that stay beyond the rotation's own number
	Drop      bool   // when there are more, the oldest go; false = new connections wait
}

// announceRotated has the log say which records rotation is about to remove with its oldest files:
// a chained log always, since verify would miss them; every log, where a store misses them.
func (s *Sink) announceRotated() {
	if s.chain == nil && s.spool == nil {
		return
	}
	surplus, kept := s.out.Surplus()
	if len(surplus) == 0 {
		return
	}
	first, err := record.FirstSeq(surplus[0])
	if err != nil {
		return
	}
	first = max(first, s.removable.Load()+1)
	now := s.now()
	announce := func(reason record.GapReason, last uint64) {
		if last >= first && first > 0 {
			s.missed(loss{reason: reason, n: last - first + 1, from: now, to: now, first: first, last: last})
			first = last + 1
		}
	}
	shipped, dropped, confirmed := s.mayGo(surplus, kept)
	switch {
	case s.chain != nil:
		announce(record.Rotated, shipped)
	case shipped > s.removable.Load():
		s.removable.Store(shipped)
		first = max(first, shipped+1)
		s.out.Tidy()
	}
	if dropped >= first {
		first = min(first, confirmed+1) // that it went was announced in records that go now
	}
	announce(record.FleetFull, dropped)
}

// mayGo returns the number of the last record in the files of surplus that may be removed because
// all stores have it, and of the last that is given up because the spool is full; 0 = none. kept is
// the file behind them. The stores have all up to confirmed.
func (s *Sink) mayGo(surplus []string, kept string) (shipped, dropped, confirmed uint64) {
	s.awaited.Store(0)
	all := append(slices.Clip(surplus), kept)
	last := func(i int) uint64 { // number of the last record of a file
		next, err := record.FirstSeq(all[i+1])
		if err != nil || next == 0 {
			return 0
		}
		return next - 1
	}
	spool, ok := Spool{}, false
	if s.spool != nil {
		spool, ok = s.spool(s.path)
	}
	if !ok {
		return last(len(surplus) - 1), 0, 0
	}
	lacking := 0 // the first file of which a store lacks records
	for ; lacking < len(surplus); lacking++ {
		seq := last(lacking)
		if seq == 0 || seq > spool.Confirmed {
			break
		}
		shipped = seq
	}
	size := int64(0)
	for i := len(surplus) - 1; i >= lacking; i-- {
		if info, err := os.Stat(surplus[i]); err == nil {
			size += info.Size()
		}
		if size > spool.Size {
			dropped = last(i)
			break
		}
	}
	if !spool.Drop {
		s.awaited.Store(dropped)
		dropped = 0
	}
	return shipped, dropped, spool.Confirmed
}

// spoolFull reports whether new connections have to wait until stores have more of the log. It may
// be called by any goroutine.
func (s *Sink) spoolFull() bool {
	awaited := s.awaited.Load()
	if awaited == 0 {
		return false
	}
	spool, ok := s.spool(s.path)
	return ok && !spool.Drop && spool.Confirmed < awaited
}

// removeRotated has files removed whose records the log has announced as gone.
func (s *Sink) removeRotated(announced []loss) {
	for _, l := range announced {
		if l.reason == record.Rotated || l.reason == record.FleetFull {
			s.removable.Store(max(s.removable.Load(), l.last))
			s.out.Tidy()
		}
	}
	if s.out.Rotated() {
		s.announceRotated()
	}
}

// mayRemove reports whether the file before next may be removed: its records are announced, or need
// not be. It may be called by any goroutine.
func (s *Sink) mayRemove(next string) bool {
	first, err := record.FirstSeq(next)
	return err == nil && first > 0 && first-1 <= s.removable.Load()
}
