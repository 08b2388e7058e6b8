package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// fakeStore is a store that fails on command.
type fakeStore struct {
	mu      sync.Mutex
	logs    map[LogID]map[uint64][]string // lines by seq, one for each copy
	heads   []string
	puts    int
	late    func() // stores a batch when the store is asked next, after that question
	silent  bool   // it answers nothing
	between func() // called once, behind Logs; nil = nothing

	// onPut is asked at each batch: how many of its records are stored, and the answer. nil stores
	// all of them.
	onPut func(n int, b *Batch) (stored int, err error)
	// keeps reports whether a record is stored; nil keeps each.
	keeps func(r *Record) bool
}

var errCut = errors.New("connection reset by peer")

func newFakeStore() *fakeStore { return &fakeStore{logs: make(map[LogID]map[uint64][]string)} }

func (f *fakeStore) Put(_ context.Context, b *Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silent {
		return errCut
	}
	f.puts++
	stored, err := len(b.Records), error(nil)
	if f.onPut != nil {
		stored, err = f.onPut(f.puts, b)
	}
	f.store(b.LogID, b.Records[:stored])
	return err
}

func (f *fakeStore) store(id LogID, records []Record) {
	if f.logs[id] == nil {
		f.logs[id] = make(map[uint64][]string)
	}
	for i := range records {
		r := &records[i]
		switch {
		case r.Head != 0:
			f.heads = append(f.heads, string(r.Line))
		case f.keeps == nil || f.keeps(r):
			f.logs[id][r.Seq] = append(f.logs[id][r.Seq], string(r.Line))
		}
	}
}

// storeLate stores a batch behind the next question.
func (f *fakeStore) storeLate(b *Batch) {
	records := slices.Clone(b.Records)
	for i := range records {
		records[i].Line = slices.Clone(records[i].Line)
	}
	id := b.LogID
	f.late = func() { f.store(id, records) }
}

func (f *fakeStore) Close() error { return nil }

func (f *fakeStore) Has(_ context.Context, id LogID, r Range) (runs []Run, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silent {
		return nil, errCut
	}
	if f.late != nil {
		defer func(late func()) { late() }(f.late)
		f.late = nil
	}
	for _, seq := range f.numbers(id) {
		if seq < r.First || r.Last > 0 && seq > r.Last || outside(r, f.logs[id][seq][0]) {
			continue
		}
		copies := len(f.logs[id][seq])
		if last := len(runs) - 1; last >= 0 && runs[last].Last+1 == seq && runs[last].Copies == copies {
			runs[last].Last++
		} else {
			runs = append(runs, Run{First: seq, Last: seq, Copies: copies})
		}
	}
	return runs, nil
}

// outside reports whether the time of a line is not of a range.
func outside(r Range, line string) bool {
	_, at, _ := Fields{}.Append(nil, []byte(line))
	return at.Time.Before(r.Begin) || !r.End.IsZero() && at.Time.After(r.End)
}

func (f *fakeStore) numbers(id LogID) (all []uint64) {
	for seq := range f.logs[id] {
		all = append(all, seq)
	}
	slices.Sort(all)
	return all
}

func (f *fakeStore) Logs(_ context.Context, router string) (all []State, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silent {
		return nil, errCut
	}
	for id := range f.logs {
		if numbers := f.numbers(id); id.Router == router && len(numbers) > 0 {
			all = append(all, State{LogID: id, First: numbers[0], Last: numbers[len(numbers)-1]})
		}
	}
	if f.between != nil {
		f.between()
		f.between = nil
	}
	return all, nil
}

func (f *fakeStore) Lines(_ context.Context, id LogID, r Range, each func(seq uint64, line []byte) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, seq := range f.numbers(id) {
		if seq < r.First || seq > r.Last || outside(r, f.logs[id][seq][0]) {
			continue
		}
		lines := slices.Clone(f.logs[id][seq])
		slices.Sort(lines)
		for _, line := range slices.Compact(lines) {
			if err := each(seq, []byte(line)); err != nil {
				return err
			}
		}
	}
	return nil
}

// only returns the lines of a log in their order, and how many are there more than once.
func (f *fakeStore) only(id LogID) (lines []string, twice int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, seq := range f.numbers(id) {
		copies := f.logs[id][seq]
		lines = append(lines, copies[0])
		twice += len(copies) - 1
	}
	return lines, twice
}
