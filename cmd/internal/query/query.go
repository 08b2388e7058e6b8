package query

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/record"
)

// Format is the form of what is printed.
type Format string

// The values of [Format].
const (
	Modern  Format = "modern"
	Classic Format = "classic"
	JSON    Format = "json" // the records themselves
)

// Query says what is searched and what is printed.
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
	lines  []byte
	result chan result // holds one
}

// result is what a worker has made of a block.
type result struct {
	text   [][]byte
	counts map[string]uint64
}

// add appends text, which may stand right behind what was added before.
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
	stop := make(chan struct{}) // closed when nobody wants more
	read := make(chan error, 1)
	blocks := make(memory, 4*workers)
	go func() {
		defer close(work)
		defer close(order)
		read <- readAll(files, blocks, func(lines []byte) bool {
			b := &block{lines: lines, result: make(chan result, 1)}
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
				b.result <- q.search(m, b.lines)
			}
		})
	}
	total := make(map[string]uint64)
	var writeErr error
	for b := range order {
		r := <-b.result
		for value, n := range r.counts {
			total[value] += n
		}
		if writeErr == nil {
			if writeErr = r.write(w); writeErr != nil {
				close(stop)
			}
		}
		blocks.giveBack(b.lines) // nothing refers to it any more
	}
	if q.Top != "" && writeErr == nil {
		writeErr = q.printTop(total, w)
	}
	return errors.Join(writeErr, <-read)
}

// search goes through a block.
func (q *Query) search(m *matcher, lines []byte) (r result) {
	if q.Top != "" {
		r.counts = make(map[string]uint64)
	}
	var text []byte
	if q.Top == "" && q.Format != JSON {
		text = make([]byte, 0, len(lines))
	}
	for len(lines) > 0 {
		var line []byte
		n := bytes.IndexByte(lines, '\n')
		line, lines = lines[:n+1], lines[n+1:]
		if n == 0 || !m.match(line[:n]) {
			continue
		}
		switch {
		case q.Top != "":
			q.count(r.counts, line)
		case q.Format == JSON:
			r.add(line)
		default:
			text = appendLines(text, line, q.Format == Classic)
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

// readAll hands the files' lines on in blocks of whole ones, until next says that it is enough.
func readAll(files []string, blocks memory, next func(lines []byte) bool) error {
	var errs []error
	for _, file := range files {
		r, err := audit.OpenRead(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		more, err := readBlocks(r, blocks, next)
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", file, err))
		}
		if err := r.Close(); err != nil {
			errs = append(errs, err)
		}
		if !more {
			break
		}
	}
	return errors.Join(errs...)
}

// readBlocks passes over a last line that is not whole: it is being written, or a crash has left it.
func readBlocks(r io.Reader, blocks memory, next func(lines []byte) bool) (more bool, err error) {
	var rest []byte
	for {
		b := blocks.take() // perhaps the one that rest is in: it has not changed
		n := copy(b, rest)
		read, err := io.ReadFull(r, b[n:])
		b = b[:n+read]
		end := bytes.LastIndexByte(b, '\n') + 1
		if end == 0 && err == nil {
			return true, fmt.Errorf("a line is longer than %d bytes", blockSize)
		}
		rest = b[end:]
		if end > 0 && !next(b[:end]) {
			return false, nil
		}
		switch err {
		case nil:
		case io.EOF:
			return true, nil
		case io.ErrUnexpectedEOF: // of ReadFull, or of a compressed file that was cut short
			if read == 0 {
				return true, err
			}
		default:
			return true, err
		}
	}
}

// isHandshake reports whether a record is of an attempt.
func isHandshake(line []byte) bool { return string(record.Field(line, record.Message)) == "handshake" }
