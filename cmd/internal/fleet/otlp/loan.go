package otlp

import (
	"errors"
	"io"
	"sync"
)

// loan is memory that is lent to net/http as the body of a request, until end: its goroutines may
// go on to read a body when the request is over.
type loan struct {
	mu    sync.Mutex
	b     []byte
	ended bool
}

var errEnded = errors.New("the request is over")

// end takes the memory back.
func (l *loan) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b, l.ended = nil, true
}

// reader returns a body that begins with the first byte.
func (l *loan) reader() io.ReadCloser { return &lentBody{of: l} }

type lentBody struct {
	of *loan
	at int
}

// Read copies the next bytes.
func (r *lentBody) Read(b []byte) (n int, err error) {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	switch {
	case r.of.ended:
		return 0, errEnded
	case r.at == len(r.of.b):
		return 0, io.EOF
	}
	n = copy(b, r.of.b[r.at:])
	r.at += n
	return n, nil
}

// Close does nothing: the memory is given back by end.
func (r *lentBody) Close() error { return nil }
