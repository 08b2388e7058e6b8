package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"syntap/cmd/internal/audit"
	"syntap/tap"
)

const (
	eventInterval  = 200 * time.Millisecond
	eventBatch     = 512 // records, at most, per interval: 2560 a second
	eventKeepalive = 15 * time.Second
)

// serveEvents streams records as server-sent events until the peer leaves, reads too slowly, or the server stops. It goes on
// after the record that the Last-Event-ID header, or else the parameter after, names; without either it begins with the
// next one.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	if s.subscribers.Add(1) > maxSubscribers {
		s.subscribers.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, fmt.Sprintf("%d subscribers are served at most", maxSubscribers), http.StatusServiceUnavailable)
		return
	}
	defer s.subscribers.Add(-1)
	stream := subscriber{last: s.recent.newest(), recent: &s.recent, records: make([]*tap.Record, eventBatch)}
	if err := stream.resume(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	conn := http.NewResponseController(w)
	if conn.SetReadDeadline(time.Time{}) != nil { // that of the request, which is read
		return
	}
	send := func() error {
		if err := conn.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil {
			return err
		}
		if _, err := w.Write(stream.batch.Bytes()); err != nil {
			return err
		}
		return conn.Flush()
	}
	tick := time.NewTicker(eventInterval)
	defer tick.Stop()
	stream.batch.WriteString("retry: 1000\n\n")
	sent := time.Now()
	for {
		if stream.batch.Len() > 0 {
			if send() != nil {
				return
			}
			sent = time.Now()
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			stream.next()
			if stream.batch.Len() == 0 && time.Since(sent) > eventKeepalive {
				stream.batch.WriteString(": still here\n\n")
			}
		}
	}
}

// subscriber is one reader's place in the ring.
type subscriber struct {
	recent  *ring
	last    uint64 // number of the last record sent
	records []*tap.Record
	batch   bytes.Buffer
}

// resume goes back to where the request wants to go on.
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
	if n > s.last {
		n = 0 // of an earlier run
	}
	s.last = n
	return nil
}

// next makes the next batch of what has come since the last one.
func (s *subscriber) next() {
	s.batch.Reset()
	first, n := s.recent.after(s.last, s.records)
	if n == 0 {
		return
	}
	if lost := first - s.last - 1; lost > 0 {
		fmt.Fprintf(&s.batch, "event: lost\ndata: {\"lost\":%d}\n\n", lost)
	}
	for i, record := range s.records[:n] {
		seq := first + uint64(i)
		fmt.Fprintf(&s.batch, "id: %d\ndata: %s\n\n", seq, audit.JSON(record, seq))
		s.last = seq
	}
	clear(s.records[:n])
}
