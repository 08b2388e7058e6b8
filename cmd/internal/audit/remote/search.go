//go:build linux

package remote

import (
	"fmt"
	"sync"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
)

// searches are those for the owners of datagrams that go on. The log gets a datagram when its
// search has ended, and the end of its flow behind it.
type searches struct {
	mu   sync.Mutex
	none sync.Cond                    // no search goes on
	on   map[*record.Opening][]func() // by datagram: to be called when the search has ended
}

func newSearches() *searches {
	s := &searches{on: make(map[*record.Opening][]func())}
	s.none.L = &s.mu
	return s
}

func (s *searches) begin(o *record.Opening) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on[o] = nil
}

// end calls first, and then all that waits for the search.
func (s *searches) end(o *record.Opening, first func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first()
	for _, f := range s.on[o] {
		f()
	}
	delete(s.on, o)
	if len(s.on) == 0 {
		s.none.Broadcast()
	}
}

// after calls f when no search of a datagram goes on.
func (s *searches) after(o *record.Opening, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if waiting, goesOn := s.on[o]; goesOn {
		s.on[o] = append(waiting, f)
		return
	}
	f()
}

func (s *searches) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.on)
}

func (s *searches) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.on) > 0 {
		s.none.Wait()
	}
}

// serve has questions answered.
func (w *Writer) serve(questions []byte) error {
	if w.o.Serve == nil {
		return fmt.Errorf("%w: a question", compact.ErrInvalid)
	}
	err := w.o.Serve(questions, func(answer []byte) { w.end.Send(append([]byte{replied}, answer...)) })
	if err != nil {
		return fmt.Errorf("%w: %w", compact.ErrInvalid, err)
	}
	return nil
}

// search has the log take a datagram when its owner is found, or will not be.
func (w *Writer) search(d *record.AttributedDatagram) error {
	if w.o.Search == nil {
		return fmt.Errorf("%w: a question about an owner", compact.ErrInvalid)
	}
	w.searches.begin(d.Opening)
	err := w.o.Search(d.Question, func(o *record.Owner, result uint8) {
		w.end.SendLater([]byte{searched, result})
		w.searches.end(d.Opening, func() {
			d.Opening.Owner, d.Question = o, nil
			w.begun(d)
		})
	})
	if err != nil {
		w.searches.end(d.Opening, func() {})
		return fmt.Errorf("%w: %w", compact.ErrInvalid, err)
	}
	return nil
}
