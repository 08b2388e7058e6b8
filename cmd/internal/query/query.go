package query

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"sync"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
)

// Format is the form of the output.
type Format string

// The values of [Format].
const (
	Modern  Format = "modern"
	Classic Format = "classic"
	JSON    Format = "json" // the records themselves
)

// Query selects records and the form of the output.
type Query struct {
	Filter
	Format Format
	Top    string // print how often each value of this member occurs in handshakes: one of TopKeys; "" = the records
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

// result is the output of one block.
type result struct {
	text   [][]byte
	counts map[string]uint64
	bad    bad
	old    int // records printed in modern notation, as they have no segments
}

// add appends text. Text that stands right behind the last one in memory extends it.
func (r *result) add(text []byte) {
	if n := len(r.text); n > 0 {
		last := r.text[n-1]
		if end := len(last) + len(text); end <= cap(last) && &last[:end][len(last)] == &text[0] {
			r.text[n-1] = last[:end]
			return
		}
	}
	r.text = append(r.text, text)
}

// Run searches files, in the order given, and prints to w.
func Run(q Query, files []string, w io.Writer) error {
	workers := runtime.GOMAXPROCS(0)
	work, order := make(chan *block, workers), make(chan *block, 4*workers)
	stop := make(chan struct{}) // closed when w takes no more
	read := make(chan error, 1)
	blocks := make(memory, 4*workers)
	go func() {
		defer close(work)
		defer close(order)
		again := newOnce(files)
		read <- readAll(files, blocks, func(run lineRun) bool {
			if again != nil {
				again.clear(slices.Index(files, run.file), run.lines)
			}
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
	m := newMatcher(q.Filter)
	var searching sync.WaitGroup
	defer searching.Wait()
	for range workers {
		searching.Go(func() {
			for b := range work {
				b.result <- q.search(m, b.lineRun)
			}
		})
	}
	t := tally{counts: make(map[string]uint64)}
	for b := range order {
		r := <-b.result
		t.take(b.file, &r)
		if t.writeErr == nil {
			if t.writeErr = r.write(w); t.writeErr != nil {
				close(stop)
			}
		}
		blocks.giveBack(b.lines) // nothing refers to it any more
	}
	if q.Top != "" && t.writeErr == nil {
		t.writeErr = q.printTop(t.counts, w)
	}
	return t.err(<-read)
}

// search goes through a block.
func (q *Query) search(m *matcher, run lineRun) (r result) {
	if q.Top != "" {
		r.counts = make(map[string]uint64)
	}
	var text []byte
	if q.Top == "" && q.Format != JSON {
		text = make([]byte, 0, len(run.lines))
	}
	number := run.first - 1
	var l record.Line
	for line := range bytes.Lines(run.lines) {
		number++
		form := l.Scan(line[:len(line)-1])
		if form == record.None {
			if len(bytes.TrimSpace(line)) > 0 {
				r.bad.add([]int{number}, 1)
			}
			continue
		}
		if !m.match(&l) {
			continue
		}
		switch {
		case q.Top != "":
			q.count(r.counts, &l)
		case q.Format == JSON && form == record.Foreign:
			r.add(terminal.CleanJSON(line))
		case q.Format == JSON:
			r.add(line)
		default:
			var asked bool
			if text, asked = q.appendText(text, &l); !asked {
				r.old++
			}
		}
	}
	if len(text) > 0 {
		r.add(text)
	}
	return r
}

func (r *result) write(w io.Writer) error {
	for _, text := range r.text {
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}
