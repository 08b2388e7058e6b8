package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// defaultLimit is how many records /api/handshakes returns without being told.
const defaultLimit = 100

// query says which records are wanted.
type query struct {
	outcome handshake.Outcome // "" = all
	limit   int
}

// parseQuery reads the query of /api/handshakes.
func parseQuery(r *http.Request) (query, error) {
	q := query{limit: defaultLimit}
	for key, values := range r.URL.Query() {
		value := values[len(values)-1]
		switch key {
		case "outcome":
			q.outcome = handshake.Outcome(value)
			if !slices.Contains(handshake.Outcomes(), q.outcome) {
				return q, fmt.Errorf("outcome %q is not one of %s", value, outcomeWords())
			}
		case "limit":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > recentRecords {
				return q, fmt.Errorf("limit %q is not a number from 1 to %d", value, recentRecords)
			}
			q.limit = n
		default:
			return q, fmt.Errorf("parameter %q is unknown (known: outcome, limit)", key)
		}
	}
	return q, nil
}

func outcomeWords() string {
	var words []string
	for _, o := range handshake.Outcomes() {
		words = append(words, string(o))
	}
	return strings.Join(words, ", ")
}

// serveHandshakes returns recent records as a JSON array, the newest first.
func (s *Server) serveHandshakes(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	v := visitorOf(r)
	m := &member{v.peer, func() { _ = v.Close() }}
	s.listings.enter(m)
	defer s.listings.leave(m)
	w.Header().Set("Content-Type", "application/json")
	records := make([]*record.Attributed, recentRecords)
	first, n := s.recent.after(0, records)
	writer := record.Writer{Run: s.o.Run}
	b, sep := make([]byte, 0, maxBatch), byte('[')
	for i := n - 1; i >= 0 && q.limit > 0; i-- {
		if q.outcome != "" && records[i].Outcome != q.outcome {
			continue
		}
		if len(b) >= maxBatch {
			if _, err := w.Write(b); err != nil {
				return
			}
			b = b[:0]
		}
		b = writer.Handshake(append(b, sep, '\n'), first+uint64(i), records[i])
		b = b[:len(b)-1] // the end of line
		sep = ','
		q.limit--
	}
	if sep == '[' {
		b = append(b, '[')
	}
	_, _ = w.Write(append(b, '\n', ']', '\n')) // only the peer can fail
}
