package names

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// maxNames is the largest number of names of an address. Servers of a CDN have thousands, but a
// client asks for a few at a time.
const maxNames = 16

// entry is an address, or a target, as one client knows it.
type entry struct {
	client Client
	addr   netip.Addr
	target string // of an alias; empty for an address

	pairs []pair   // latest question first, never empty but in the making
	names []string // of the pairs; replaced, never changed
	open  int      // connections and flows

	source *source // nil once the entry has left the table
	links  [2]link // in the lists of all and of the source
	bytes  int     // charged
}

// pair is a name of the entry. Times are those since the table was made.
type pair struct {
	name  string
	asked time.Duration
	until time.Duration
}

// Estimates of the memory of an entry and a pair, in bytes.
const (
	entryBytes = 320
	pairBytes  = 64
)

// learn makes a name the latest.
func (e *entry) learn(name string, asked, until time.Duration) {
	i := slices.IndexFunc(e.pairs, func(p pair) bool { return p.name == name })
	if i == 0 {
		p := &e.pairs[0]
		p.asked, p.until = asked, max(p.until, until)
		return
	}
	p := pair{name, asked, until}
	if i > 0 {
		p.until = max(until, e.pairs[i].until)
		e.pairs = slices.Delete(e.pairs, i, i+1)
	}
	e.pairs = slices.Insert(e.pairs, 0, p)
	if len(e.pairs) > maxNames {
		e.pairs = e.pairs[:maxNames]
	}
	e.list()
}

// expire removes expired names.
func (e *entry) expire(now time.Duration) {
	if e.open > 0 {
		return
	}
	n := len(e.pairs)
	e.pairs = slices.DeleteFunc(e.pairs, func(p pair) bool { return p.until <= now })
	if len(e.pairs) < n {
		e.list()
	}
}

// use keeps the names for a while.
func (e *entry) use(now time.Duration) {
	for i := range e.pairs {
		p := &e.pairs[i]
		p.until = max(p.until, now+Grace)
	}
}

// list makes a new list of names, because callers of Begin have the old one.
func (e *entry) list() {
	e.names = make([]string, len(e.pairs))
	for i := range e.pairs {
		e.names[i] = e.pairs[i].name
	}
}

// size returns the memory of the entry in bytes.
func (e *entry) size() int {
	n := entryBytes + len(e.target)
	for i := range e.pairs {
		n += pairBytes + len(e.pairs[i].name)
	}
	return n
}

// merge returns the names of two entries, latest question first.
func merge(a, b *entry) []string {
	pairs := slices.Concat(a.pairs, b.pairs)
	slices.SortStableFunc(pairs, func(p, q pair) int { return cmp.Compare(q.asked, p.asked) })
	all := make([]string, 0, len(pairs))
	for i := range pairs {
		if !slices.Contains(all, pairs[i].name) {
			all = append(all, pairs[i].name)
		}
	}
	return all[:min(len(all), maxNames)]
}
