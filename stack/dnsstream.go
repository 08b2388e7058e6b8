//go:build linux

package stack

import (
	"hash/maphash"
	"slices"
	"sync"

	"syntap/stack/inspect"
	tunflow "syntap/tun/flow"
)

// portDNS is the server's port of DNS over TCP (RFC 7766).
const portDNS = 53

// Of the DNS messages of a connection the first go on record, and their first answers.
const (
	maxDNSMessages = 16 // in each direction
	maxDNSAnswers  = 64
	maxDNSText     = 16 << 10 // bytes of names and data, in each direction
)

// maxAsked is how many queries may wait for their response; beyond it the oldest counts no more.
const maxAsked = 256

// dnsStream has the DNS messages of both directions of a connection.
type dnsStream struct {
	queries, responses dnsMessages
	ahead              int // bytes to be sent that have been looked at; the outbound direction's

	mu    sync.Mutex
	asked []uint64 // the questions without a response, in their order; as hash
}

// dnsMessages are the messages of one direction, which owns them until the connection is closed.
type dnsMessages struct {
	inspect.Messages
	charged int  // bytes of memory
	over    bool // no more are looked at
	count   int  // on record
	text    int  // bytes of text on record
	record  tunflow.DNS
}

// readQueries looks at the bytes of g, which are to be sent: a response may be here before the
// write has returned.
func (c *conn) readQueries(g *gather) {
	d, skip := &c.dns.queries, c.dns.ahead
	c.dns.ahead = max(skip, g.size)
	if d.over {
		return
	}
	answered := c.stack.o.DNSAnswered
	for i := range g.iov {
		b := g.view(i, g.size)
		n := min(skip, len(b))
		skip -= n
		c.readDNS(d, b[n:], func(m *tunflow.DNS) bool {
			if !m.Response && answered != nil {
				c.dns.ask(m)
			}
			return !m.Response
		})
	}
	d.over = d.over || d.count == maxDNSMessages && answered == nil
	c.chargeDNS(d)
}

// readResponses looks at bytes before the client gets them.
func (c *conn) readResponses(b []byte) {
	d, answered := &c.dns.responses, c.stack.o.DNSAnswered
	if d.over {
		return
	}
	c.readDNS(d, b, func(m *tunflow.DNS) bool {
		if m.Response && answered != nil && c.dns.answers(m) {
			answered(c.key.client, c.opening, m)
		}
		return m.Response
	})
	d.over = d.over || d.count == maxDNSMessages && answered == nil
	c.chargeDNS(d)
}

// readDNS has the messages that end in b noted. A direction that begins with something else is no
// stream of DNS messages.
func (c *conn) readDNS(d *dnsMessages, b []byte, fits func(*tunflow.DNS) bool) {
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
func (s *dnsStream) ask(query *tunflow.DNS) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == maxAsked {
		s.asked = slices.Delete(s.asked, 0, 1)
	}
	s.asked = append(s.asked, hashDNS(query))
}

// answers reports whether a response is to a query that has none yet: a server may say anything,
// but it has been asked for little.
func (s *dnsStream) answers(response *tunflow.DNS) bool {
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
func (d *dnsMessages) note(m *tunflow.DNS) {
	if d.count == maxDNSMessages {
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
		if d.text < maxDNSText {
			r.Queries = append(r.Queries, q)
			d.text += len(q.Name)
		}
	}
	for _, a := range m.Answers {
		if d.text < maxDNSText && len(r.Answers) < maxDNSAnswers {
			r.Answers = append(r.Answers, a)
			d.text += len(a.Name) + len(a.Data)
		}
	}
}

// memory returns the bytes that the messages take.
func (d *dnsMessages) memory() int { return d.Kept() + d.text }

// chargeDNS charges the client for the messages. One that has used up its memory is looked at no
// more.
func (c *conn) chargeDNS(d *dnsMessages) {
	n := d.memory() - d.charged
	if n > 0 && c.payer.Admit(int64(n)) != nil {
		d.over = true
	} else if n > 0 {
		d.charged += n
	}
	if d.over {
		d.Messages = inspect.Messages{}
	}
	c.payer.Charge(int64(d.memory() - d.charged))
	d.charged = d.memory()
}

// endDNS looks at no more messages, and ends the charge.
func (c *conn) endDNS() {
	if c.dns == nil {
		return
	}
	for _, d := range []*dnsMessages{&c.dns.queries, &c.dns.responses} {
		d.over, d.Messages = true, inspect.Messages{}
		c.payer.Charge(-int64(d.charged))
		d.charged = 0
	}
}

// flow returns the record of the queries and their responses; nil if there was no query.
func (s *dnsStream) flow() *tunflow.DNS {
	if s == nil || s.queries.count == 0 {
		return nil
	}
	d := s.queries.record
	if r := &s.responses; r.count > 0 {
		d.Response, d.RCode, d.Answers = true, r.record.RCode, r.record.Answers
	}
	return &d
}
