package query

import (
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
)

// Format is the form of the output.
type Format string

// The values of [Format].
const (
	Line    Format = "line" // one line a connection, for people
	CSV     Format = "csv"  // one row a connection
	Zeek    Format = "zeek" // one line of conn.log a connection
	JSON    Format = "json" // the records themselves
	Classic Format = "classic"
	Modern  Format = "modern"
	OCSF    Format = "ocsf"
	ECS     Format = "ecs"
)

// Formats returns the forms of the output, the default first.
func Formats() []string {
	return []string{
		string(Line), string(CSV), string(JSON), string(Classic), string(Modern),
		string(OCSF), string(Zeek), string(ECS),
	}
}

// joins reports whether the form has a line for a connection, and not for a record.
func (f Format) joins() bool { return f == Line || f == CSV || f == Zeek }

// Query selects connections, or records of them, and the form of the output.
type Query struct {
	Filter   filter.Filter
	Format   Format
	Top      []string                      // count connections by these keys of [filter.GroupKeys]; none = print them
	ByBytes  bool                          // Top sums up bytes instead
	Only     func(*format.Connection) bool // of those that Filter takes; nil = all of them
	NewSince time.Time                     // only the first of connections whose like was not there before then; zero = all
	Routers  bool                          // lines for people name the routers of a source
	Last     int                           // print this many lines at most, the last ones, or the first ones of Top; 0 = all

	// Notice is called with a sentence on records that the output does not show; nil disables it.
	Notice func(text string)

	compared *fresh // of Diff
	hosts    bool   // there are records of several
}

// joins reports whether the records of connections are joined.
func (q *Query) joins() bool {
	return q.Format.joins() || q.Top != nil || !q.NewSince.IsZero() || q.compared != nil
}

// findings reports whether the joined output has a form for findings.
func (q *Query) findings() bool {
	return q.Format == Line && q.Top == nil && q.Only == nil && q.NewSince.IsZero() && q.compared == nil
}

// Run searches files, in the order given, and prints to w.
func Run(q Query, files []string, w io.Writer) error {
	s := newSearch(&q, files, w)
	s.runFiles(files)
	s.finish()
	return s.err()
}

// blockSize is how much a worker takes at once; no record is longer.
const blockSize = 1 << 20

// memory is blocks to use again.
type memory chan []byte

func (m memory) take() []byte {
	select {
	case b := <-m:
		return b
	default:
		return make([]byte, blockSize)
	}
}

func (m memory) giveBack(b []byte) {
	if cap(b) < blockSize { // of a source
		return
	}
	select {
	case m <- b[:blockSize]:
	default:
	}
}

// block is a run of whole lines on its way.
type block struct {
	lineRun
	result chan result // holds one
}

// search is a query at work.
type search struct {
	query  *Query
	files  []string
	again  *once
	tally  tally
	output output
}

func newSearch(q *Query, files []string, w io.Writer) *search {
	s := &search{query: q, files: files, again: newOnce(files)}
	s.output = newOutput(q, files, s.again, w)
	return s
}

// runFiles goes through files.
func (s *search) runFiles(files []string) {
	s.run(func(blocks memory, next func(lineRun) bool) error {
		return readAll(files, blocks, func(run lineRun) bool {
			if s.again != nil {
				s.again.clear(slices.Index(s.files, run.file), run.lines)
			}
			return next(run)
		})
	})
}

// run goes through the lines that readLines hands on.
func (s *search) run(readLines func(blocks memory, next func(lineRun) bool) error) {
	workers := runtime.GOMAXPROCS(0)
	work, order := make(chan *block, workers), make(chan *block, 4*workers)
	stop := make(chan struct{}) // closed when the output takes no more
	read := make(chan error, 1)
	blocks := make(memory, 4*workers)
	go func() {
		defer close(work)
		defer close(order)
		read <- readLines(blocks, func(run lineRun) bool {
			b := &block{lineRun: run, result: make(chan result, 1)}
			select {
			case order <- b:
				work <- b
				return true
			case <-stop:
				return false
			}
		})
	}()
	var searching sync.WaitGroup
	defer searching.Wait()
	for range workers {
		searching.Go(func() {
			w := newWorker(s.query)
			for b := range work {
				b.result <- w.search(b.lineRun)
			}
		})
	}
	for b := range order {
		r := <-b.result
		s.tally.take(b.file, &r)
		if s.tally.writeErr == nil {
			if s.tally.writeErr = s.output.take(&b.lineRun, &r); s.tally.writeErr != nil {
				close(stop)
			}
		}
		blocks.giveBack(b.lines) // nothing refers to it any more
	}
	s.tally.readErr = <-read
}

// finish prints the connections that wait for the end of the input, and tells the gaps in it.
func (s *search) finish() {
	s.tally.gaps.tell(s.query)
	if s.tally.writeErr == nil {
		s.tally.writeErr = s.output.finish()
	}
}

// follow prints the connections that wait for the end of the input, and has connections printed at
// once from now on.
func (s *search) follow() error {
	s.finish()
	if s.tally.writeErr == nil {
		s.output.follow()
	}
	return s.tally.writeErr
}

func (s *search) err() error { return s.tally.err() }
