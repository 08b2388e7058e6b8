package search

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/cmd/internal/query"
	"syntap/cmd/internal/record"
)

const (
	maxHeld  = 1 << 16 // records that all cursors hold together
	maxPage  = 10_000  // records of a log in one answer
	minPage  = 4       // the same
	maxSpans = victorialogs.MaxSpans
	maxBytes = 64 << 20  // of the lines of one answer
	maxBlock = 512 << 10 // bytes that are handed on at once; a record more
	maxWidth = 1 << 60   // numbers in one question
)

// slack is how much later than the first record of another log records of one are, at most, where
// they are put in order behind the merge.
const slack = time.Second

// everything is the filter that takes all.
var everything filter.Filter

func compareIDs(a, b fleet.LogID) int {
	return cmp.Or(strings.Compare(a.Router, b.Router), strings.Compare(a.Log, b.Log))
}

// row is a record of a cursor.
type row struct {
	seq  uint64
	time time.Time
	line []byte
}

// cursor goes through a log.
type cursor struct {
	victorialogs.Found
	rows  []row
	next  uint64 // number of the first record that has not been asked for
	width uint64 // of the next question, in numbers
}

func (c *cursor) done() bool { return c.next > c.Last }

// merge merges logs.
type merge struct {
	store   Engine
	wanted  *victorialogs.Wanted
	ordered bool
	next    func(query.Lines) bool

	cursors []*cursor // those that have rows, as a heap: the one with the earliest first
	limit   int       // records of a log in one answer
	bytes   int       // of the lines of one answer

	block []byte
	log   fleet.LogID // that the block is of

	bad    []string // records that are none, the first ones
	badAll int
	forks  int // numbers with different records
}

func newMerge(
	store Engine, wanted *victorialogs.Wanted, ordered bool, next func(query.Lines) bool,
) *merge {
	return &merge{store: store, wanted: wanted, ordered: ordered, next: next, bytes: maxBytes}
}

// Len implements heap.Interface, as do those below.
func (m *merge) Len() int { return len(m.cursors) }

// Less implements heap.Interface.
func (m *merge) Less(i, j int) bool {
	a, b := m.cursors[i], m.cursors[j]
	return cmp.Or(a.rows[0].time.Compare(b.rows[0].time), compareIDs(a.LogID, b.LogID)) < 0
}

// Swap implements heap.Interface.
func (m *merge) Swap(i, j int) { m.cursors[i], m.cursors[j] = m.cursors[j], m.cursors[i] }

// Push implements heap.Interface.
func (m *merge) Push(c any) { m.cursors = append(m.cursors, c.(*cursor)) }

// Pop implements heap.Interface.
func (m *merge) Pop() any {
	last := len(m.cursors) - 1
	c := m.cursors[last]
	m.cursors = m.cursors[:last]
	return c
}

// run hands the records of some logs on.
func (m *merge) run(ctx context.Context, logs []victorialogs.Found) error {
	m.limit = max(minPage, min(maxPage, maxHeld/max(1, len(logs))))
	var empty []*cursor
	for _, log := range logs {
		c := &cursor{Found: log, next: log.First}
		spread := float64(log.Last-log.First+1) / float64(max(1, log.Count))
		c.width = uint64(min(max(1, 1.25*spread*float64(m.limit)), maxWidth))
		empty = append(empty, c)
	}
	for len(empty) > 0 {
		n := min(len(empty), maxSpans)
		if err := m.fill(ctx, empty[:n]); err != nil {
			return err
		}
		empty = empty[n:]
	}
	for len(m.cursors) > 0 {
		c := heap.Pop(m).(*cursor)
		if !m.take(c) {
			return errEnough
		}
		switch {
		case len(c.rows) > 0:
			heap.Push(m, c)
		case !c.done():
			if err := m.fill(ctx, m.hungry(c)); err != nil {
				return err
			}
		}
	}
	if !m.flush() {
		return errEnough
	}
	return nil
}

// take hands rows of the cursor with the earliest one on. The other cursors are in the heap.
func (m *merge) take(c *cursor) bool {
	n := len(c.rows)
	if m.ordered && len(m.cursors) > 0 {
		until := m.cursors[0].rows[0].time
		if m.wanted.Joined {
			until = until.Add(slack)
		}
		for n = 1; n < len(c.rows) && !c.rows[n].time.After(until); n++ {
		}
	}
	for _, r := range c.rows[:n] {
		if !m.put(c, r.line) {
			return false
		}
	}
	clear(c.rows[:n])
	c.rows = c.rows[n:]
	return true
}

// put adds a record to the block.
func (m *merge) put(c *cursor, line []byte) bool {
	full := len(m.block) > maxBlock
	if (full || m.wanted.Joined && m.log != c.LogID) && !m.flush() {
		return false
	}
	m.log = c.LogID
	m.block = append(append(m.block, line...), '\n')
	return true
}

// flush hands the block on.
func (m *merge) flush() bool {
	if len(m.block) == 0 {
		return true
	}
	lines := query.Lines{Text: m.block}
	if m.wanted.Joined {
		lines.Router, lines.Log = m.log.Router, m.log.Log
	}
	m.block = nil
	return m.next(lines)
}

// hungry returns a cursor that has no rows, and others that have few. They are not in the heap any
// more.
func (m *merge) hungry(c *cursor) []*cursor {
	all := []*cursor{c}
	few := m.limit / 2
	rest := m.cursors[:0:0]
	for _, other := range m.cursors {
		if len(all) < maxSpans && len(other.rows) <= few && !other.done() {
			all = append(all, other)
		} else {
			rest = append(rest, other)
		}
	}
	m.cursors = rest
	heap.Init(m)
	return all
}

// fill asks for more rows of cursors, of which each comes into the heap unless it is at its end.
func (m *merge) fill(ctx context.Context, cursors []*cursor) error {
	for len(cursors) > 0 {
		if err := m.ask(ctx, cursors); err != nil {
			return err
		}
		cursors = slices.DeleteFunc(cursors, func(c *cursor) bool {
			if len(c.rows) > 0 {
				heap.Push(m, c)
			}
			return len(c.rows) > 0 || c.done()
		})
	}
	return nil
}

// errTooMuch says that an answer is larger than it may be.
var errTooMuch = errors.New("the store's answer is too large")

// ask asks for more rows of cursors, for less where the answer is too large, or its making: a store
// with little memory refuses to sort many records.
func (m *merge) ask(ctx context.Context, cursors []*cursor) error {
	page := make(map[fleet.LogID][]victorialogs.Row, len(cursors))
	var spans []victorialogs.Span
	for _, c := range cursors {
		last := c.Last
		if rest := c.Last - c.next; rest >= c.width {
			last = c.next + c.width - 1
		}
		spans = append(spans, victorialogs.Span{
			LogID: c.LogID, Stream: c.Stream, First: c.next, Last: last,
		})
	}
	held := 0
	err := m.store.Page(ctx, m.wanted, spans, m.limit, func(r victorialogs.Row) error {
		if held += len(r.Line); held > m.bytes {
			return errTooMuch
		}
		page[r.LogID] = append(page[r.LogID], r)
		return nil
	})
	var refused *fleet.Refused
	tooMuch := errors.Is(err, errTooMuch) || errors.As(err, &refused)
	switch {
	case tooMuch && m.limit > 1:
		m.limit /= 2
		return m.ask(ctx, cursors)
	case tooMuch && len(cursors) > 1:
		half := len(cursors) / 2
		if err := m.ask(ctx, cursors[:half]); err != nil {
			return err
		}
		return m.ask(ctx, cursors[half:])
	case err != nil:
		return err
	}
	for i, c := range cursors {
		rows := slices.DeleteFunc(page[c.LogID], func(r victorialogs.Row) bool {
			return r.Seq < spans[i].First || r.Seq > spans[i].Last
		})
		slices.SortStableFunc(rows, func(a, b victorialogs.Row) int { return cmp.Compare(a.Seq, b.Seq) })
		m.add(c, rows, spans[i].Last)
	}
	return nil
}

// add adds the answer to a question for records up to the number last.
func (m *merge) add(c *cursor, page []victorialogs.Row, last uint64) {
	c.next = last + 1
	if len(page) >= m.limit { // the copies of the last number may be incomplete
		c.next = page[len(page)-1].Seq
		whole := slices.IndexFunc(page, func(r victorialogs.Row) bool { return r.Seq == c.next })
		if whole == 0 {
			c.next++
		} else {
			page = page[:whole]
		}
	} else if len(page) < m.limit/2 && c.width < maxWidth {
		c.width *= 2
	}
	before := victorialogs.Row{}
	for _, r := range page {
		if r.Seq == before.Seq && before.Line != nil {
			if !bytes.Equal(r.Line, before.Line) {
				m.forks++
			}
			continue
		}
		before = r
		m.addRow(c, &r)
	}
}

// addRow adds a record that is one.
func (m *merge) addRow(c *cursor, r *victorialogs.Row) {
	var l record.Line
	seq, ok := uint64(0), false
	if len(r.Line) < record.MaxLine && !bytes.ContainsRune(r.Line, '\n') && l.Scan(r.Line) != record.None {
		seq, ok = l.Seq()
	}
	at, err := time.Parse(time.RFC3339Nano, string(l.Get(record.Time)))
	if !ok || seq != r.Seq || err != nil {
		if m.badAll++; len(m.bad) < maxNamed {
			m.bad = append(m.bad, fmt.Sprintf("%s: seq %d is not a record", r.LogID, r.Seq))
		}
		return
	}
	c.rows = append(c.rows, row{r.Seq, at, r.Line})
}

// maxNamed is how many records are named that are none.
const maxNamed = 10

// tell says which records have not been handed on.
func (m *merge) tell(notice func(string)) {
	for _, text := range m.bad {
		notice("the store has what no router writes: " + text)
	}
	if more := m.badAll - len(m.bad); more > 0 {
		notice(fmt.Sprintf("the store has what no router writes: %d more", more))
	}
	if m.forks > 0 {
		notice(fmt.Sprintf("the store has different records with the same number: %d; "+
			`"syntap verify --fleet" names them`, m.forks))
	}
}
