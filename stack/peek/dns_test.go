//go:build linux

package peek

import (
	"strings"
	"testing"

	tunflow "syntap/tun/flow"
)

// Messages with long names and data do not fill the memory: a connection has one bound for all.
func TestMuchDNSText(t *testing.T) {
	t.Parallel()
	m := &tunflow.DNS{Response: true}
	for range 8 {
		m.Queries = append(m.Queries, tunflow.Question{Name: strings.Repeat("q", 200)})
		m.Answers = append(m.Answers, tunflow.Record{
			Name: strings.Repeat("a", 200), Data: strings.Repeat("d", 1800),
		})
	}
	var d messages
	for range maxMessages {
		d.note(m)
	}
	size := 0
	for _, q := range d.record.Queries {
		size += len(q.Name)
	}
	for _, a := range d.record.Answers {
		size += len(a.Name) + len(a.Data)
	}
	if size > 20<<10 || size < 10<<10 || size != d.text {
		t.Errorf("%d bytes of text, counted as %d", size, d.text)
	}
}

// A client that asks and asks without an answer is carried; the last queries count.
func TestManyDNSQueries(t *testing.T) {
	t.Parallel()
	var s DNS
	for i := range 2 * maxAsked {
		s.ask(&tunflow.DNS{ID: uint16(i)})
	}
	first, last := s.answers(&tunflow.DNS{ID: maxAsked - 1}), s.answers(&tunflow.DNS{ID: maxAsked})
	if first || !last || len(s.asked) != maxAsked-1 {
		t.Errorf("%d are asked", len(s.asked))
	}
}
