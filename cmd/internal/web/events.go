package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"syntap/cmd/internal/record"
)

const (
	eventInterval  = 200 * time.Millisecond
	eventBatch     = 512      // records, at most, per interval: 2560 a second
	maxBatch       = 64 << 10 // bytes, that one write takes, but for the last record
	eventKeepalive = 15 * time.Second
)

// serveEvents streams records as server-sent events until the peer leaves, reads too slowly, or the
// server stops. It continues after the record that the Last-Event-ID header, or else the parameter
// after, names; without either it begins with the next one.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	v := visitorOf(r)
	m := &member{v.peer, func() { _ = v.Close() }}
	if !s.subscribers.join(m) {
		w.Header().Set("Retry-After", "5")
		full := fmt.Sprintf("%d subscribers are served at most, %d of one peer", maxSubscribers, maxSubscribersOfPeer)
		http.Error(w, full, http.StatusServiceUnavailable)
		return
	}
	defer s.subscribers.leave(m)
	stream := subscriber{last: s.recent.newest(), recent: &s.recent, records: make([]*record.Attributed, eventBatch)}
	stream.writer.Run = s.o.Run
	if err := stream.resume(r); err != nil {
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
	send := func() error {
		if err := conn.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil {
			return err
		}
		if _, err := w.Write(stream.batch.Bytes()); err != nil {
			return err
		}
		stream.batch.Reset()
		sent = time.Now()
		return conn.Flush()
	}
	tick := time.NewTicker(eventInterval)
	defer tick.Stop()
	stream.batch.WriteString("retry: 1000\n\n")
	for {
		if stream.batch.Len() > 0 && send() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			if stream.next(send) != nil {
				return
			}
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
	records []*record.Attributed
	batch   bytes.Buffer
	writer  record.Writer
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
	if n > s.last {
		n = 0 // of an earlier run
	}
	s.last = n
	return nil
}

// next makes a batch of the records since the last one, and sends it when it is full.
func (s *subscriber) next(send func() error) error {
	first, n := s.recent.after(s.last, s.records)
	if n == 0 {
		return nil
	}
	defer clear(s.records[:n])
	if lost := first - s.last - 1; lost > 0 {
		fmt.Fprintf(&s.batch, "event: lost\ndata: {\"lost\":%d}\n\n", lost)
	}
	for i, r := range s.records[:n] {
		seq := first + uint64(i)
		fmt.Fprintf(&s.batch, "id: %d\ndata: ", seq)
		s.batch.Write(s.writer.Handshake(s.batch.AvailableBuffer(), seq, r)) // one line
		s.batch.WriteByte('\n')
		s.last = seq
		if s.batch.Len() < maxBatch {
			continue
		}
		if err := send(); err != nil {
			return err
		}
	}
	return nil
}
