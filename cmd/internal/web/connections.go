package web

import (
	"fmt"
	"net/http"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
)

// serveConnections streams the records by which connections begin and end, those of connections
// that match the parameter filter. First it names the run ("event: run"). A position that the
// request names counts only if the parameter run names the same one.
func (s *Server) serveConnections(w http.ResponseWriter, r *http.Request) {
	sub := &connections{subscriber: s.newSubscriber(s.o.Records.All())}
	sub.render = sub.change
	text := r.URL.Query().Get("filter")
	f, err := filter.Parse(text, time.Now())
	if err != nil {
		badRequest(w, err)
		return
	}
	if !f.All() {
		sub.filter, sub.viewer = f, newViewer(s.o.Run)
	}
	run := r.URL.Query().Get("run")
	sub.otherRun = run != "" && run != s.o.Run.ID
	fmt.Fprintf(&sub.batch, "event: run\ndata: {\"run_id\":%q}\n\n", s.o.Run.ID)
	s.stream(w, r, sub.subscriber)
}

// connections is a subscriber that is sent a connection's records when it begins to match. It
// remembers none: of each it decides anew whether it matched before.
type connections struct {
	*subscriber
	filter *filter.Filter // nil = all match
	viewer *viewer
}

// change sends the change that a record makes: a connection begins, ends, or ends and so does not
// match any more ("event: gone").
func (c *connections) change(e *entry) {
	switch {
	case c.filter == nil:
		c.record(e.Number, e)
	case e.Type != format.Flow:
		if c.filter.Match(c.viewer.connection(e, open(c.list.At(e.End)))) {
			c.record(e.Number, e)
		}
	default:
		c.ended(e)
	}
}

func (c *connections) ended(e *entry) {
	opening := open(c.list.At(e.OpeningAt))
	before := opening != nil && c.filter.Match(c.viewer.connection(opening, nil))
	switch {
	case c.filter.Match(c.viewer.connection(opening, e)):
		if opening != nil && !before {
			c.record(0, opening)
		}
		c.record(e.Number, e)
	case before || opening == nil && e.Opening > 0:
		msg := "datagram"
		if e.TCP {
			msg = "handshake"
		}
		fmt.Fprintf(&c.batch, "id: %d\nevent: gone\ndata: {\"msg\":\"%s\",\"seq\":%d}\n\n", e.Number, msg, e.Opening)
	}
}
