package query

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
)

// fresh tells connections whose like was not there before a time. Those are alike that have the
// same destination (its name, or without one its address), port and process.
type fresh struct {
	since time.Time
	seed  maphash.Seed
	old   map[uint64]struct{}
	likes map[uint64]*like
}

// like is a set of connections that are alike and new.
type like struct {
	start  time.Time // of the first one
	text   []byte    // of the first one
	counts tallies
}

func newFresh(since time.Time) *fresh {
	return &fresh{
		since: since, seed: maphash.MakeSeed(),
		old: make(map[uint64]struct{}), likes: make(map[uint64]*like),
	}
}

// take takes a connection and returns its like; nil if that is not new.
func (f *fresh) take(c *format.Connection) *like {
	server := first(c).Server
	destination := cmp.Or(strings.ToLower(filter.Name(c)), server.Addr().String())
	key := maphash.Comparable(f.seed, struct {
		destination, process string
		port                 uint16
	}{destination, filter.Value(c, "process"), server.Port()})
	if c.Start().Before(f.since) {
		f.old[key] = struct{}{}
		delete(f.likes, key)
		return nil
	}
	if _, old := f.old[key]; old {
		return nil
	}
	l := f.likes[key]
	if l == nil {
		l = new(like)
		f.likes[key] = l
	}
	return l
}

// isFirst reports whether no connection of the like that began before start has come.
func (l *like) isFirst(start time.Time) bool {
	if l.text != nil && !start.Before(l.start) {
		return false
	}
	l.start = start
	return true
}

// finish prints the first connection of each like, or sums up their counts.
func (f *fresh) finish(w *lastLines, counts *counts) error {
	likes := make([]*like, 0, len(f.likes))
	for _, l := range f.likes {
		likes = append(likes, l)
	}
	slices.SortFunc(likes, func(a, b *like) int {
		return cmp.Or(a.start.Compare(b.start), strings.Compare(string(a.text), string(b.text)))
	})
	for _, l := range likes {
		if counts != nil {
			counts.merge(&l.counts)
		} else if _, err := w.Write(l.text); err != nil {
			return err
		}
	}
	return nil
}
