package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// defaultLimit is how many records /api/handshakes and /api/flows return without being told.
const defaultLimit = 100

// listing is a list of recent records of one type, on request.
type listing struct {
	server *Server
	list   recent.List
	of     format.Type
	words  []string // outcomes that can be asked for
}

// query says which records are wanted.
type query struct {
	outcome string         // "" = all
	filter  *filter.Filter // nil = all
	limit   int
}

var listingParameters = []string{"filter", "limit", "outcome"}

// parse reads the query of a request. A parameter without a value, as forms send it, is none.
func (l *listing) parse(r *http.Request) (query, error) {
	q := query{limit: defaultLimit}
	for key, values := range r.URL.Query() {
		value := values[len(values)-1]
		if value == "" && slices.Contains(listingParameters, key) {
			continue
		}
		switch key {
		case "outcome":
			q.outcome = value
			if !slices.Contains(l.words, value) {
				return q, fmt.Errorf("outcome %q is not one of %s", value, strings.Join(l.words, ", "))
			}
		case "limit":
			n, err := strconv.Atoi(value)
			if most := l.list.Len(); err != nil || n < 1 || n > most {
				return q, fmt.Errorf("limit %q is not a number from 1 to %d", value, most)
			}
			q.limit = n
		case "filter":
			var err error
			if q.filter, err = filter.Parse(value, time.Now()); err != nil {
				return q, err
			}
		default:
			return q, fmt.Errorf("parameter %q is unknown (known: %s)", key, strings.Join(listingParameters, ", "))
		}
	}
	return q, nil
}

// badRequest answers with the errors of a query, each followed by its hint.
func badRequest(w http.ResponseWriter, err error) {
	var b strings.Builder
	hint.Report(&b, err)
	text := strings.ReplaceAll("\n"+b.String(), "\nsyntap: ", "\n")
	http.Error(w, strings.Trim(text, "\n"), http.StatusBadRequest)
}

func outcomeWords() (words []string) {
	for _, o := range handshake.Outcomes() {
		words = append(words, string(o))
	}
	return words
}

// ServeHTTP returns recent records as a JSON array, the newest first.
func (l *listing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := l.parse(r)
	if err != nil {
		badRequest(w, err)
		return
	}
	v := visitorOf(r)
	m := &member{v.peer, func() { _ = v.Close() }}
	l.server.listings.enter(m)
	defer l.server.listings.leave(m)
	w.Header().Set("Content-Type", "application/json")
	writer, judge := record.Writer{Run: l.server.o.Run}, newViewer(l.server.o.Run)
	b, sep := make([]byte, 0, maxBatch), byte('[')
	newest := l.list.Newest()
	oldest := newest - min(newest, uint64(l.list.Len()))
	for n := newest; n > oldest && q.limit > 0; n-- {
		kept := l.list.At(n)
		if kept == nil || kept.Type != l.of {
			continue
		}
		e := open(kept)
		if e == nil || !l.wanted(&q, judge, e) {
			continue
		}
		if len(b) >= maxBatch {
			if _, err := w.Write(b); err != nil {
				return
			}
			b = b[:0]
		}
		b = e.append(append(b, sep, '\n'), &writer)
		b = b[:len(b)-1] // the end of line
		sep = ','
		q.limit--
	}
	if sep == '[' {
		b = append(b, '[')
	}
	_, _ = w.Write(append(b, '\n', ']', '\n')) // only the peer can fail
}

// wanted judges a record by the connection that it is of.
func (l *listing) wanted(q *query, judge *viewer, e *entry) bool {
	if q.outcome == "" && q.filter == nil {
		return true
	}
	all := l.server.o.Records.All()
	opening, end := e, e
	if e.Type == format.Flow {
		opening = open(all.At(e.OpeningAt))
	} else {
		end = open(all.At(e.End))
	}
	c := judge.connection(opening, end)
	return (q.outcome == "" || c.Outcome() == q.outcome) && (q.filter == nil || q.filter.Match(c))
}
