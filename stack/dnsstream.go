//go:build linux

package stack

import (
	"syntap/stack/inspect"
	tunflow "syntap/tun/flow"
)

// portDNS is the server's port of DNS over TCP (RFC 7766).
const portDNS = 53

// Of the DNS messages of a connection the first go on record, and their first answers.
const (
	maxDNSMessages = 16 // in each direction
	maxDNSAnswers  = 64
)

// dnsStream is what both ends of a connection have said in DNS messages.
type dnsStream struct{ queries, responses dnsMessages }

// dnsMessages are the messages of one direction, which owns them until the connection is closed.
type dnsMessages struct {
	inspect.Messages
	charged int  // bytes of memory
	over    bool // no more are looked at
	count   int  // on record
	record  tunflow.DNS
}

// readQueries looks at the n bytes of g that have just gone to the far side.
func (c *conn) readQueries(g *gather, n int) {
	d := &c.dns.queries
	for i := 0; n > 0 && !d.over; i++ {
		b := g.view(i, n)
		n -= len(b)
		c.readDNS(d, b, func(m *tunflow.DNS) bool { return !m.Response })
	}
	d.over = d.over || d.count == maxDNSMessages
	c.chargeDNS(d)
}

// readResponses looks at bytes before the client gets them.
func (c *conn) readResponses(b []byte) {
	d, answered := &c.dns.responses, c.stack.o.DNSAnswered
	if d.over {
		return
	}
	c.readDNS(d, b, func(m *tunflow.DNS) bool {
		if m.Response && answered != nil {
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

// note adds a message to the record.
func (d *dnsMessages) note(m *tunflow.DNS) {
	r := &d.record
	switch {
	case d.count == maxDNSMessages:
		return
	case d.count == 0:
		*r = *m
	default:
		r.Queries = append(r.Queries, m.Queries...)
		r.Answers = append(r.Answers, m.Answers[:min(len(m.Answers), maxDNSAnswers-len(r.Answers))]...)
	}
	if r.RCode == 0 {
		r.RCode = m.RCode
	}
	d.count++
}

// chargeDNS charges the client for the message in part. One that has used up its memory is looked
// at no more.
func (c *conn) chargeDNS(d *dnsMessages) {
	if d.over {
		d.Messages = inspect.Messages{}
	}
	n := d.Kept() - d.charged
	switch {
	case n <= 0:
		c.payer.charge(int64(n))
	case c.payer.admit(int64(n)) != nil:
		d.over = true
		d.Messages = inspect.Messages{}
		c.payer.charge(-int64(d.charged))
	}
	d.charged = d.Kept()
}

// endDNS looks at no more messages, and gives the memory of those in part back.
func (c *conn) endDNS() {
	if c.dns == nil {
		return
	}
	for _, d := range []*dnsMessages{&c.dns.queries, &c.dns.responses} {
		d.over = true
		c.chargeDNS(d)
	}
}

// flow returns what goes on record; nil if there was no query.
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
