//go:build linux

package peek

import (
	"hash/maphash"
	"slices"
	"sync"

	"syntap/stack/budget"
	"syntap/stack/inspect"
	tunflow "syntap/tun/flow"
)

// Of the DNS messages of a connection the first go on record, and their first answers.
const (
	maxMessages = 16 // in each direction
	maxAnswers  = 64
	maxText     = 16 << 10 // bytes of names and data, in each direction
)

// maxAsked is the largest number of queries that wait for their response; beyond it the oldest is
// dropped.
const maxAsked = 256

// DNS has the DNS messages of both directions of a connection. A nil one has none.
type DNS struct {
	queries, responses messages
	ahead              int // bytes to be sent that have been looked at; the outbound direction's

	mu    sync.Mutex
	asked []uint64 // the questions without a response, in their order; as hash
}

// messages are the messages of one direction, which owns them until the connection is closed.
type messages struct {
	inspect.Messages
	charged int  // bytes of memory
	over    bool // no more are looked at
	count   int  // on record
	text    int  // bytes of text on record
	record  tunflow.DNS
}

// ReadQueries reads the bytes of g before they are sent, because a response may arrive before the
// write returns. With follow, ReadResponses knows the queries.
func (s *DNS) ReadQueries(g *Views, p *budget.Payer, follow bool) {
	d, skip := &s.queries, s.ahead
	s.ahead = max(skip, g.Size)
	if d.over {
		return
	}
	for i := range g.IOV {
		b := g.View(i, g.Size)
		n := min(skip, len(b))
		skip -= n
		d.read(b[n:], func(m *tunflow.DNS) bool {
			if !m.Response && follow {
				s.ask(m)
			}
			return !m.Response
		})
	}
	d.over = d.over || d.count == maxMessages && !follow
	d.pay(p)
}

// Sent notes that n bytes have been sent.
func (s *DNS) Sent(n int) {
	if s != nil {
		s.ahead -= n
	}
}

// ReadResponses reads bytes before the client gets them. It calls answered, if not nil, with each
// response to an open query.
func (s *DNS) ReadResponses(b []byte, p *budget.Payer, answered func(*tunflow.DNS)) {
	d := &s.responses
	if d.over {
		return
	}
	d.read(b, func(m *tunflow.DNS) bool {
		if m.Response && answered != nil && s.answers(m) {
			answered(m)
		}
		return m.Response
	})
	d.over = d.over || d.count == maxMessages && answered == nil
	d.pay(p)
}

// NoteQuery and NoteResponse record messages that the router has removed from the queries, or added
// to the responses.
func (s *DNS) NoteQuery(m *tunflow.DNS) {
	if s != nil && !s.queries.over {
		s.queries.note(m)
	}
}

// NoteResponse is described at NoteQuery.
func (s *DNS) NoteResponse(m *tunflow.DNS) {
	if s != nil && !s.responses.over {
		s.responses.note(m)
	}
}

// read has the messages that end in b noted. A direction that begins with something else is no
// stream of DNS messages.
func (d *messages) read(b []byte, fits func(*tunflow.DNS) bool) {
	d.Take(b, func(message []byte) {
		if d.over {
			return
		}
		m, ok := inspect.DNS(message)
		if ok && fits(m) {
			d.note(m)
		} else {
			d.over = d.count == 0
		}
	})
}

var dnsSeed = maphash.MakeSeed()

// hashDNS returns a hash of a message's ID and questions.
func hashDNS(m *tunflow.DNS) uint64 {
	var h maphash.Hash
	h.SetSeed(dnsSeed)
	maphash.WriteComparable(&h, m.ID)
	for _, q := range m.Queries {
		maphash.WriteComparable(&h, q)
	}
	return h.Sum64()
}

// ask notes a query.
func (s *DNS) ask(query *tunflow.DNS) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == maxAsked {
		s.asked = slices.Delete(s.asked, 0, 1)
	}
	s.asked = append(s.asked, hashDNS(query))
}

// answers reports whether a response is to a query that has none yet: a server may say anything,
// but it has been asked for little.
func (s *DNS) answers(response *tunflow.DNS) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.asked, hashDNS(response))
	if i < 0 {
		return false
	}
	s.asked = slices.Delete(s.asked, i, i+1)
	return true
}

// note adds a message to the record, as far as there is room.
func (d *messages) note(m *tunflow.DNS) {
	if d.count == maxMessages {
		return
	}
	r := &d.record
	if d.count == 0 {
		r.ID = m.ID
	}
	if r.RCode == 0 {
		r.RCode = m.RCode
	}
	d.count++
	for _, q := range m.Queries {
		if d.text < maxText {
			r.Queries = append(r.Queries, q)
			d.text += len(q.Name)
		}
	}
	for _, a := range m.Answers {
		if d.text < maxText && len(r.Answers) < maxAnswers {
			r.Answers = append(r.Answers, a)
			d.text += len(a.Name) + len(a.Data)
		}
	}
}

// memory returns the bytes that the messages take.
func (d *messages) memory() int { return d.Kept() + d.text }

// pay charges the client for the messages. Without memory, no more are read.
func (d *messages) pay(p *budget.Payer) {
	n := d.memory() - d.charged
	if n > 0 && p.Admit(int64(n)) != nil {
		d.over = true
	} else if n > 0 {
		d.charged += n
	}
	if d.over {
		d.Messages = inspect.Messages{}
	}
	p.Charge(int64(d.memory() - d.charged))
	d.charged = d.memory()
}

// End stops reading, and ends the charge.
func (s *DNS) End(p *budget.Payer) {
	if s == nil {
		return
	}
	for _, d := range []*messages{&s.queries, &s.responses} {
		d.over, d.Messages = true, inspect.Messages{}
		p.Charge(-int64(d.charged))
		d.charged = 0
	}
}

// Record returns the record of the queries and their responses; nil if there was no query.
func (s *DNS) Record() *tunflow.DNS {
	if s == nil || s.queries.count == 0 {
		return nil
	}
	d := s.queries.record
	if r := &s.responses; r.count > 0 {
		d.Response, d.RCode, d.Answers = true, r.record.RCode, r.record.Answers
	}
	return &d
}
