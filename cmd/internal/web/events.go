package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/record"
)

const (
	eventInterval  = 200 * time.Millisecond
	maxBatch       = 64 << 10 // bytes, that one write takes, but for the last record
	eventKeepalive = 15 * time.Second
)

// serveEvents streams the records of handshakes.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	sub := s.newSubscriber(s.o.Records.Handshakes())
	sub.render = func(e *entry) { sub.record(e.Number, e) }
	s.stream(w, r, sub)
}

// stream sends the events of a subscriber until the peer leaves, reads too slowly, or the server
// stops. It continues after the record that the Last-Event-ID header, or else the parameter after,
// names; without either it begins with the next one.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, sub *subscriber) {
	v := visitorOf(r)
	m := &member{v.peer, func() { _ = v.Close() }}
	if !s.subscribers.join(m) {
		w.Header().Set("Retry-After", "5")
		full := fmt.Sprintf("%d subscribers are served at most, %d of one peer", maxSubscribers, maxSubscribersOfPeer)
		http.Error(w, full, http.StatusServiceUnavailable)
		return
	}
	defer s.subscribers.leave(m)
	if err := sub.resume(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Connection", "close") // at the end: it does not count among the others any more
	if r.Method == http.MethodHead {
		return
	}
	v.leave()
	conn := http.NewResponseController(w)
	if conn.SetReadDeadline(time.Time{}) != nil { // that of the request, which is read
		return
	}
	sent := time.Now()
	sub.send = func() error {
		if err := conn.SetWriteDeadline(time.Now().Add(s.timeouts.event)); err != nil {
			return err
		}
		if _, err := w.Write(sub.batch.Bytes()); err != nil {
			return err
		}
		sub.batch.Reset()
		sent = time.Now()
		return conn.Flush()
	}
	tick := time.NewTicker(eventInterval)
	defer tick.Stop()
	sub.batch.WriteString("retry: 1000\n\n")
	for {
		if sub.batch.Len() > 0 && sub.send() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			if sub.catchUp(r.Context().Done()) != nil {
				return
			}
			if sub.batch.Len() == 0 && time.Since(sent) > eventKeepalive {
				sub.batch.WriteString(": still here\n\n")
			}
		}
	}
}

// subscriber is one reader's place in a list.
type subscriber struct {
	list     recent.List
	last     uint64 // number of the last record that it has had
	otherRun bool   // the number that the request names is of another run
	render   func(e *entry)
	send     func() error
	batch    bytes.Buffer
	writer   record.Writer
}

func (s *Server) newSubscriber(list recent.List) *subscriber {
	sub := &subscriber{list: list, last: list.Newest()}
	sub.writer.Run = s.o.Run
	return sub
}

// resume goes back to the record that the request names.
func (s *subscriber) resume(r *http.Request) error {
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("after")
	}
	if after == "" {
		return nil
	}
	n, err := strconv.ParseUint(after, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not the number of a record", after)
	}
	if n > s.last || s.otherRun {
		n = 0 // of an earlier run
	}
	s.last = n
	return nil
}

var errStopped = errors.New("stopping")

// catchUp renders the records since the last one, and sends them but for the last batch.
func (s *subscriber) catchUp(stop <-chan struct{}) error {
	newest := s.list.Newest()
	lost := uint64(0)
	if oldest := newest - min(newest, uint64(s.list.Len())); s.last < oldest {
		lost, s.last = oldest-s.last, oldest
	}
	for s.last < newest {
		select {
		case <-stop:
			return errStopped
		default:
		}
		s.last++
		e := open(s.list.At(s.last))
		if e == nil { // it has gone meanwhile, or is too long
			lost++
			continue
		}
		s.lose(lost)
		lost = 0
		s.render(e)
		if s.batch.Len() < maxBatch {
			continue
		}
		if err := s.send(); err != nil {
			return err
		}
	}
	s.lose(lost)
	return nil
}

// lose adds to the batch that records are missing.
func (s *subscriber) lose(n uint64) {
	if n > 0 {
		fmt.Fprintf(&s.batch, "event: lost\ndata: {\"lost\":%d}\n\n", n)
	}
}

// record adds a record to the batch; id 0 = it is not to be named as the last one.
func (s *subscriber) record(id uint64, e *entry) {
	if id > 0 {
		fmt.Fprintf(&s.batch, "id: %d\n", id)
	}
	s.batch.WriteString("data: ")
	s.batch.Write(e.append(s.batch.AvailableBuffer(), &s.writer)) // one line
	s.batch.WriteByte('\n')
}
