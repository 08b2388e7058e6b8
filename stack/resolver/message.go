package resolver

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/inspect"
)

const (
	headerLen = 12 // bytes (RFC 1035 §4.1.1)

	// payloadSize is the size of UDP messages that resolvers agree on (RFC 9715 §3.2).
	payloadSize = 1232

	optionEDE = 15 // RFC 8914 §2
)

// Codes of extended errors (RFC 8914 §4).
const (
	edeForged  = 4
	edeNetwork = 23
)

// query is what a client asks.
type query struct {
	wire     []byte
	header   dnsmessage.Header
	question dnsmessage.Question
	name     string // of the question, as package inspect writes it
	edns     bool
	dnssec   bool // the bit DO
	size     int  // of the longest response by UDP
}

var errQuery = errors.New("no query with one question of class IN")

func parseQuery(wire []byte) (*query, error) {
	d, ok := inspect.DNS(wire)
	if !ok || d.Response || len(d.Queries) != 1 {
		return nil, errQuery
	}
	var p dnsmessage.Parser
	h, err := p.Start(wire)
	if err != nil {
		return nil, errQuery
	}
	q := &query{wire: wire, header: h, name: d.Queries[0].Name, size: 512}
	if q.question, err = p.Question(); err != nil {
		return nil, errQuery
	}
	if h, ok := findOPT(&p); ok {
		q.edns, q.dnssec = true, h.DNSSECAllowed()
		q.size = min(max(512, int(h.Class)), payloadSize)
	}
	return q, nil
}

// findOPT returns the header of the pseudo-record of EDNS (RFC 6891 §6.1), if there is one.
func findOPT(p *dnsmessage.Parser) (h dnsmessage.ResourceHeader, ok bool) {
	if p.SkipAllQuestions() != nil || p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return h, false
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil || h.Type == dnsmessage.TypeOPT {
			return h, err == nil
		}
		if p.SkipAdditional() != nil {
			return h, false
		}
	}
}

// response is a response in parts.
type response struct {
	rcode       dnsmessage.RCode
	answers     []dnsmessage.Resource
	authorities []dnsmessage.Resource
	ede         uint16 // an extended error; 0 = none
	text        string // of it
}

// pack returns the message, of at most limit bytes: one that would be longer is cut to the
// question, and says so.
func (r *response) pack(q *query, limit int) []byte {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: q.header.ID, Response: true, OpCode: q.header.OpCode, RCode: r.rcode,
			RecursionDesired: q.header.RecursionDesired, RecursionAvailable: true,
			CheckingDisabled: q.header.CheckingDisabled,
		},
		Questions: []dnsmessage.Question{q.question}, Answers: r.answers, Authorities: r.authorities,
	}
	if q.edns {
		m.Additionals = []dnsmessage.Resource{r.opt(q)}
	}
	b, err := m.Pack()
	if err == nil && len(b) <= limit {
		return b
	}
	m.Answers, m.Authorities, m.Truncated = nil, nil, err == nil
	if err != nil {
		m.RCode = dnsmessage.RCodeServerFailure
	}
	b, _ = m.Pack()
	return b
}

func (r *response) opt(q *query) dnsmessage.Resource {
	opt := &dnsmessage.OPTResource{}
	if r.ede != 0 {
		data := binary.BigEndian.AppendUint16(nil, r.ede)
		opt.Options = []dnsmessage.Option{{Code: optionEDE, Data: append(data, r.text...)}}
	}
	record := dnsmessage.Resource{Body: opt}
	_ = record.Header.SetEDNS0(payloadSize, 0, q.dnssec) // an RCode of the header does not fail
	return record
}

// add appends an answer to the question.
func (r *response) add(q *query, ttl uint32, body dnsmessage.ResourceBody) {
	r.answers = append(r.answers, dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: q.question.Name, Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   body,
	})
}

// addAddress appends an address of either family.
func (r *response) addAddress(q *query, ttl uint32, a netip.Addr) {
	if a.Is4() {
		r.add(q, ttl, &dnsmessage.AResource{A: a.As4()})
		return
	}
	r.add(q, ttl, &dnsmessage.AAAAResource{AAAA: a.As16()})
}

// Reverse returns the address that a name in in-addr.arpa or ip6.arpa is about.
func Reverse(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(rest, ".")
		if len(labels) != 4 {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0])
		return a, err == nil
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(rest) != 63 {
		return netip.Addr{}, false
	}
	var text strings.Builder
	for i := 62; i >= 0; i -= 2 {
		if i > 0 && rest[i-1] != '.' {
			return netip.Addr{}, false
		}
		text.WriteByte(rest[i])
		if i%8 == 0 && i > 0 {
			text.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(text.String())
	return a, err == nil
}
