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

// fresh finds connections that are new since a time. Connections are alike if they have the same
// destination (its name, or without one its address), port, protocol and process. An unknown
// process may be any, because the search for it may fail.
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
	traits
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

// traits are the keys of a connection: with its process, with none, and with any.
type traits struct{ own, none, any uint64 }

func (f *fresh) key(destination string, r *format.Record, process string) traits {
	key := func(process string) uint64 {
		return maphash.Comparable(f.seed, struct {
			destination, process string
			port                 uint16
			proto                flow.Proto
		}{destination, process, r.Server.Port(), r.Proto})
	}
	return traits{key(process), key(""), key("*")}
}

// isOld reports whether a connection with these traits is like an old one.
func (f *fresh) isOld(t traits) bool {
	is := func(key uint64) bool { _, ok := f.old[key]; return ok }
	return is(t.own) || is(t.none) || t.own == t.none && is(t.any)
}

// look returns the like with some traits; nil if it is not new.
func (f *fresh) look(c *format.Connection, t traits) *like {
	if f.learns || c.Start().Before(f.since) {
		f.old[t.own], f.old[t.any] = struct{}{}, struct{}{}
		delete(f.likes, t.own)
		return nil
	}
	if f.isOld(t) {
		return nil
	}
	l := f.likes[t.own]
	if l == nil {
		l = &like{traits: t}
		f.likes[t.own] = l
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
	known := make(map[uint64]bool) // by the trait of any process: there is one with a process
	for _, l := range f.likes {
		if l.name != "" {
			reached[l.name] = true
		}
		known[l.any] = known[l.any] || l.own != l.none
	}
	for _, l := range f.likes {
		again := counts == nil && l.own == l.none && known[l.any]
		if !again && !reached[l.asked] && !f.isOld(l.traits) && (l.text != nil || counts != nil) {
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
