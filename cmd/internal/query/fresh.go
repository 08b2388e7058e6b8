package query

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
	"syntap/tun/flow"
)

// fresh tells connections whose like was not there before a time. Those are alike that have the
// same destination (its name, or without one its address), port, protocol and process.
type fresh struct {
	since time.Time
	seed  maphash.Seed
	old   map[uint64]struct{}
	likes map[uint64]*like

	learns    bool // all connections are old ones
	ofQueries bool // the names that DNS queries ask for count
	printed   int
}

// like is a set of connections that are alike and new.
type like struct {
	start  time.Time // of the first one
	text   []byte    // of the first one
	name   string    // of the server
	asked  string    // the name that it asks for; "" = none
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
	r, process := first(c), filter.Value(c, "process")
	name, address := strings.ToLower(filter.Name(c)), r.Server.Addr().String()
	queries := queriesOf(c)
	if !f.ofQueries || r.Server.Port() != portDNS || len(queries) == 0 {
		l := f.look(c, f.key(cmp.Or(name, address), r, process))
		if l != nil {
			l.name = name
		}
		return l
	}
	l := f.look(c, f.key(address, r, process))
	for _, asked := range queries {
		asked := strings.ToLower(asked.Name)
		if byName := f.look(c, f.key("?"+asked, r, process)); byName != nil && l == nil {
			l, byName.asked = byName, asked
		}
	}
	return l
}

func (f *fresh) key(destination string, r *format.Record, process string) uint64 {
	return maphash.Comparable(f.seed, struct {
		destination, process string
		port                 uint16
		proto                flow.Proto
	}{destination, process, r.Server.Port(), r.Proto})
}

// look returns the like with a key; nil if it is not new.
func (f *fresh) look(c *format.Connection, key uint64) *like {
	if f.learns || c.Start().Before(f.since) {
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
	likes, reached := make([]*like, 0, len(f.likes)), make(map[string]bool)
	for _, l := range f.likes {
		if l.name != "" {
			reached[l.name] = true
		}
	}
	for _, l := range f.likes {
		if !reached[l.asked] && (l.text != nil || counts != nil) {
			likes = append(likes, l)
		}
	}
	f.printed = len(likes)
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
