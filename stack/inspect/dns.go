package inspect

import (
	"encoding/binary"
	"slices"

	"syntap/tun/flow"
)

// PortDNS is the port of a nameserver (RFC 1035 §4.2).
const PortDNS = 53

// Bounds of a DNS message. Servers answer messages with one question only.
const (
	maxQuestions  = 8
	maxAnswers    = 64
	maxAnswerText = 16 << 10 // bytes of names and data
)

const (
	dnsHeader = 12 // bytes (RFC 1035 §4.1.1)
	minRecord = 11 // bytes, with the root as name and without data
	classIN   = 1
	typeOPT   = 41 // RFC 6891 §6.1.1
)

// DNS reads a message of opcode QUERY (RFC 1035 §4.1). It reports false for anything else, and for
// a query without a question.
//
// The answers end before the first that cannot be read, as where a message is cut. They are at most
// 64 records and 16 KiB of text; the data that exceeds this ends in "...".
func DNS(message []byte) (*flow.DNS, bool) {
	m := wire(message)
	if len(m) < dnsHeader {
		return nil, false
	}
	const opcode = 0x78
	response, n := m[2]&0x80 != 0, int(m.uint16(4))
	if m[2]&opcode != 0 || n > maxQuestions || n == 0 && !response {
		return nil, false
	}
	var questions [maxQuestions]flow.Question
	var buf [maxNameText]byte
	off := dnsHeader
	for i := range n {
		name, end, ok := m.appendName(buf[:0], off)
		if !ok || end+4 > len(m) {
			return nil, false
		}
		questions[i] = flow.Question{Name: string(name), Type: flow.RRType(m.uint16(end))}
		off = end + 4
	}
	d := &flow.DNS{ID: m.uint16(0), Response: response, Queries: slices.Clone(questions[:n])}
	if response {
		d.RCode = flow.RCode(m[3] & 0xf)
		m.readRecords(d, off)
	}
	return d, true
}

// wire is a DNS message as it is sent.
type wire []byte

func (m wire) uint16(off int) uint16 { return binary.BigEndian.Uint16(m[off:]) }
func (m wire) uint32(off int) uint32 { return binary.BigEndian.Uint32(m[off:]) }

// readRecords reads the answers, which begin at off, and from the additional section the bits of
// the response code that EDNS adds.
func (m wire) readRecords(d *flow.DNS, off int) {
	answers := int(m.uint16(6))
	if n := min(answers, maxAnswers, (len(m)-off)/minRecord); n > 0 {
		d.Answers = make([]flow.Record, 0, n)
	}
	others := int(m.uint16(8)) + int(m.uint16(10))
	left := maxAnswerText
	for i := range answers + others {
		r, ok := m.record(off)
		if !ok {
			return
		}
		off = r.end
		switch {
		case i < answers && len(d.Answers) < maxAnswers && left > 0:
			a, ok := m.answer(d, r, left)
			if !ok {
				return
			}
			d.Answers = append(d.Answers, a)
			left -= len(a.Name) + len(a.Data)
		case i >= answers && r.typ == typeOPT:
			d.RCode |= flow.RCode(r.ttl >> 24 << 4)
			return
		}
	}
}

// record is a resource record, by its offsets in the message.
type record struct {
	name      int
	typ       flow.RRType
	class     uint16
	ttl       uint32
	data, end int
}

func (m wire) record(off int) (record, bool) {
	r := record{name: off}
	off, ok := m.skipName(off)
	if !ok || off+10 > len(m) {
		return r, false
	}
	r.typ, r.class, r.ttl = flow.RRType(m.uint16(off)), m.uint16(off+2), m.uint32(off+4)
	r.data = off + 10
	r.end = r.data + int(m.uint16(off+8))
	return r, r.end <= len(m)
}

// answer returns a record of the answer section, with at most limit bytes of data.
func (m wire) answer(d *flow.DNS, r record, limit int) (flow.Record, bool) {
	var buf [maxNameText]byte
	name, _, ok := m.appendName(buf[:0], r.name)
	if !ok {
		return flow.Record{}, false
	}
	a := flow.Record{Type: r.typ, TTL: r.ttl}
	switch {
	case len(d.Queries) > 0 && string(name) == d.Queries[0].Name: // compares without a copy
		a.Name = d.Queries[0].Name
	default:
		a.Name = string(name)
	}
	if a.TTL > 1<<31-1 {
		a.TTL = 0 // RFC 2181 §8
	}
	a.Data, ok = m.dataText(r, limit)
	return a, ok
}
