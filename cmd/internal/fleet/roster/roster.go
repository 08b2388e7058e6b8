package roster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/proof"
	"syntap/cmd/internal/fleet/search"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/cmd/internal/record"
)

// Roster is the routers of a fleet, in the order of their names. /api/fleet has it as JSON.
type Roster struct {
	Time    time.Time `json:"time"`
	Since   time.Time `json:"since"` // of the records of which missing ones and duplicates are counted
	Store   string    `json:"store"` // URL of the one that has answered
	Stores  []Store   `json:"stores"`
	Routers []Router  `json:"routers"`
}

// Store is a store of the fleet.
type Store struct {
	URL    string `json:"url"`
	Behind uint64 `json:"behind"`          // records that another store has, or that heads tell of
	Error  string `json:"error,omitempty"` // why it does not answer
}

// Router is a router as the store knows it.
type Router struct {
	Router     string    `json:"router"`
	Log        string    `json:"log"`  // that it writes to
	Logs       int       `json:"logs"` // that the store has of it
	First      uint64    `json:"first_seq"`
	Last       uint64    `json:"seq"`
	Time       time.Time `json:"time"` // of its youngest record
	Age        float64   `json:"age_seconds"`
	Behind     uint64    `json:"behind"`
	Missing    uint64    `json:"missing"`
	Duplicates uint64    `json:"duplicates"`
	Forks      int       `json:"forks"`
	Writers    int       `json:"writers"`
	Hash       string    `json:"hash"` // SHA-256 of the line of its last record, in hex
}

// Options say which routers are listed.
type Options struct {
	Router string    // "" = all
	Since  time.Time // missing records and duplicates are counted from then on
	Now    time.Time
}

// Take asks the stores. The routers are those of the first that answers.
func Take(ctx context.Context, stores []search.Store, o Options) (*Roster, error) {
	t := taking{o: o, furthest: make(map[fleet.LogID]uint64)}
	r := &Roster{Time: o.Now.UTC(), Since: o.Since.UTC()}
	var failed error
	known := make([][]fleet.State, len(stores))
	for i := range stores {
		s := &stores[i]
		state := Store{URL: s.URL}
		logs, err := s.Logs(ctx, o.Router)
		switch {
		case err != nil:
			state.Error = err.Error()
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.URL, err))
		case t.store == nil:
			t.store, t.logs, r.Store = s.Engine, logs, s.URL
		}
		known[i] = logs
		t.see(logs)
		r.Stores = append(r.Stores, state)
	}
	if t.store == nil {
		return nil, failed
	}
	if err := t.seeHeads(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Store, err)
	}
	for i := range r.Stores {
		if r.Stores[i].Error == "" {
			r.Stores[i].Behind = t.behind(known[i])
		}
	}
	var err error
	if r.Routers, err = t.routers(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Store, err)
	}
	return r, nil
}

// taking is a roster in the making.
type taking struct {
	o        Options
	store    search.Engine
	logs     []fleet.State // as the store has them
	furthest map[fleet.LogID]uint64
}

// see notes how far logs go.
func (t *taking) see(logs []fleet.State) {
	for _, s := range logs {
		t.furthest[s.LogID] = max(t.furthest[s.LogID], s.Last)
	}
}

// seeHeads notes how far the heads in the store say that logs go.
func (t *taking) seeHeads(ctx context.Context) error {
	heads, err := t.store.LastHeads(ctx, t.o.Router)
	for _, h := range heads {
		t.furthest[h.LogID] = max(t.furthest[h.LogID], h.Seq)
	}
	return err
}

// behind returns how many records a store with logs is behind.
func (t *taking) behind(logs []fleet.State) (n uint64) {
	has := make(map[fleet.LogID]uint64, len(logs))
	for _, s := range logs {
		has[s.LogID] = s.Last
	}
	for id, last := range t.furthest {
		n += last - has[id]
	}
	return n
}

// routers returns the routers.
func (t *taking) routers(ctx context.Context) (all []Router, err error) {
	latest, err := t.store.Latest(ctx, t.o.Router, t.o.Since)
	if err != nil {
		return nil, err
	}
	counts, err := t.store.CountSpans(ctx, latest)
	if err != nil {
		return nil, err
	}
	numbers := make(map[fleet.LogID]uint64, len(latest)) // there would be in the same while
	for _, s := range latest {
		numbers[s.LogID] = s.Last - s.First + 1
	}
	logsOf := byRouter(t.logs)
	edges, err := t.edges(ctx, logsOf)
	if err != nil {
		return nil, err
	}
	for _, logs := range logsOf {
		r := t.router(logs, edges)
		for _, s := range logs {
			n := counts[s.LogID]
			r.Missing += numbers[s.LogID] - min(numbers[s.LogID], n.Unique)
			r.Duplicates += n.Count - n.Unique
			r.Behind += t.furthest[s.LogID] - s.Last
		}
		all = append(all, r)
	}
	return all, nil
}

// byRouter divides logs.
func byRouter(logs []fleet.State) (all [][]fleet.State) {
	logs = slices.SortedStableFunc(slices.Values(logs), func(a, b fleet.State) int {
		return strings.Compare(a.Router, b.Router)
	})
	for i, s := range logs {
		if i == 0 || s.Router != logs[i-1].Router {
			all = append(all, nil)
		}
		last := len(all) - 1
		all[last] = append(all[last], s)
	}
	return all
}

// present returns the log of a router that was written to last.
func present(logs []fleet.State) fleet.State {
	return slices.MaxFunc(logs, func(a, b fleet.State) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Log, b.Log))
	})
}

// overlap is how long two logs are written at the same time where two hosts write them. A host's
// clock may step.
const overlap = time.Minute

// router returns a router that has some logs.
func (t *taking) router(logs []fleet.State, edges map[edge][]byte) Router {
	now := present(logs)
	r := Router{
		Router: now.Router, Log: now.Log, Logs: len(logs), First: now.First, Last: now.Last,
		Time: now.Time.UTC(), Age: t.o.Now.Sub(now.Time).Seconds(), Writers: 1,
	}
	if line := edges[edge{now.LogID, now.Last}]; line != nil {
		r.Hash = hashOf(line)
	}
	begun := timeOf(edges[edge{now.LogID, now.First}])
	for _, s := range logs {
		line := edges[edge{s.LogID, s.First}]
		if s.First > 1 && isFork(logs, s, line) {
			r.Forks++
		}
		if s.LogID == now.LogID || line == nil || s.Time.Before(t.o.Since) {
			continue
		}
		begin := timeOf(line)
		if begun.After(begin) {
			begin = begun
		}
		if s.Time.Sub(begin) > overlap {
			r.Writers++
		}
	}
	return r
}

// isFork reports whether a log with that first line goes on from another one of the router.
func isFork(logs []fleet.State, s fleet.State, line []byte) bool {
	return line != nil && slices.ContainsFunc(logs, func(o fleet.State) bool {
		return fleet.IsFork(o.Log, s.Log, line)
	})
}

func hashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// timeOf returns the time of a record; zero if it is none.
func timeOf(line []byte) time.Time {
	var l record.Line
	l.Seek(line, record.Time)
	at, _ := time.Parse(time.RFC3339Nano, string(l.Get(record.Time)))
	return at
}

// edge is the first or the last record of a log.
type edge struct {
	fleet.LogID
	seq uint64
}

// maxEdges bounds the logs of a router of which records are read.
const maxEdges = 16

// edges reads the last record of each router's present log, and the first ones of its logs where it
// has several.
func (t *taking) edges(ctx context.Context, routers [][]fleet.State) (map[edge][]byte, error) {
	var spans []victorialogs.Span
	for _, logs := range routers {
		now := present(logs)
		spans = append(spans, single(now.LogID, now.Last))
		if len(logs) == 1 {
			continue
		}
		newest := slices.Clone(logs)
		slices.SortFunc(newest, func(a, b fleet.State) int { return b.Time.Compare(a.Time) })
		for _, s := range newest[:min(len(newest), maxEdges)] {
			spans = append(spans, single(s.LogID, s.First))
		}
	}
	return t.read(ctx, spans)
}

func single(id fleet.LogID, seq uint64) victorialogs.Span {
	return victorialogs.Span{LogID: id, First: seq, Last: seq}
}

// read reads single records.
func (t *taking) read(ctx context.Context, spans []victorialogs.Span) (map[edge][]byte, error) {
	lines := make(map[edge][]byte, len(spans))
	// A question has one span of a log.
	var first, rest []victorialogs.Span
	seen := make(map[fleet.LogID]bool, len(spans))
	for _, s := range spans {
		if seen[s.LogID] {
			rest = append(rest, s)
		} else {
			seen[s.LogID] = true
			first = append(first, s)
		}
	}
	for _, part := range [][]victorialogs.Span{first, rest} {
		err := t.store.Singles(ctx, part, func(r victorialogs.Row) error {
			lines[edge{r.LogID, r.Seq}] = r.Line
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// Heads returns the last record of each log, to be kept elsewhere.
func Heads(ctx context.Context, store *search.Store, router string) ([]proof.Head, error) {
	logs, err := store.Logs(ctx, router)
	if err != nil {
		return nil, err
	}
	t := taking{store: store.Engine}
	var spans []victorialogs.Span
	for _, s := range logs {
		spans = append(spans, single(s.LogID, s.Last))
	}
	lines, err := t.read(ctx, spans)
	if err != nil {
		return nil, err
	}
	var all []proof.Head
	for _, s := range logs {
		if line := lines[edge{s.LogID, s.Last}]; line != nil {
			all = append(all, proof.Head{
				Time: timeOf(line).UTC(), Router: s.Router, Log: s.Log, Seq: s.Last, Hash: hashOf(line),
			})
		}
	}
	return all, nil
}
