package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/virtual"
)

// Types that the library has no word for.
const (
	typeNULL   = 10
	typeSIG    = 24
	typeRRSIG  = 46
	typeNSEC   = 47
	typeDNSKEY = 48
	typeNSEC3  = 50
	typeIXFR   = 251
	typeMAILA  = 254
)

// uncopied are the types whose data may have compressed names in it (RFC 3597 §4) that the library
// does not read: obsolete ones. They cannot be copied to another message.
var uncopied = []dnsmessage.Type{3, 4, 7, 8, 9, 14, 17, 18, 21, typeSIG, 26, 30, 36, 38}

// addressesIn returns the addresses in a message, and the least TTL of its answers.
func addressesIn(m *dnsmessage.Message) (all []netip.Addr, ttl time.Duration) {
	ttl = maxTTL
	for i := range m.Answers {
		a := &m.Answers[i]
		switch body := a.Body.(type) {
		case *dnsmessage.AResource:
			all = append(all, netip.AddrFrom4(body.A))
		case *dnsmessage.AAAAResource:
			all = append(all, netip.AddrFrom16(body.AAAA))
		}
		ttl = min(ttl, time.Duration(a.Header.TTL)*time.Second)
	}
	return all, ttl
}

// authorities returns the SOA records in the authority section.
func authorities(m *dnsmessage.Message) (all []dnsmessage.Resource) {
	for _, a := range m.Authorities {
		if a.Header.Type == dnsmessage.TypeSOA {
			all = append(all, a)
		}
	}
	return all
}

// pass asks the nameservers for what has no addresses in it, and returns their answer without the
// records that are about others, or sign.
func (r *Resolver) pass(ctx context.Context, q *query) *response {
	typ := q.question.Type
	if typ >= typeIXFR && typ <= typeMAILA || typ == dnsmessage.TypeALL || slices.Contains(uncopied, typ) {
		return &response{rcode: dnsmessage.RCodeNotImplemented}
	}
	m, err := r.ask(ctx, q.question.Name, typ)
	if err != nil {
		return failure(err)
	}
	reply := &response{rcode: m.RCode, authorities: authorities(m)}
	for _, a := range m.Answers {
		if a.Header.Type == typ || a.Header.Type == dnsmessage.TypeCNAME {
			a.Header.TTL = min(a.Header.TTL, uint32(maxTTL/time.Second))
			reply.answers = append(reply.answers, a)
		}
	}
	return reply
}

// failure says that the nameservers have not answered.
func failure(err error) *response {
	reply := &response{rcode: dnsmessage.RCodeServerFailure}
	if !errors.Is(err, context.Canceled) {
		reply.ede, reply.text = edeNetwork, "no nameserver has answered"
	}
	return reply
}

// services asks for the records of HTTPS or SVCB, and returns those that concern the name itself,
// with its virtual addresses as hints. An alias, or a record with another target, would lead the
// client to that by another name: without the record it goes to this one (RFC 9460 §3). Keys of
// Encrypted ClientHello stay unless Options.NoECH is set: the address has the exact name whatever
// the hello says.
func (r *Resolver) services(ctx context.Context, q *query) *response {
	m, err := r.ask(ctx, q.question.Name, q.question.Type)
	if err != nil {
		return failure(err)
	}
	reply := &response{rcode: m.RCode, authorities: authorities(m)}
	var found [2]netip.Addr // by family
	for i := range m.Answers {
		a := &m.Answers[i]
		service := serviceOf(a.Body)
		if service == nil || service.Priority == 0 {
			continue
		}
		if target := service.Target.String(); target != "." && !strings.EqualFold(target, q.question.Name.String()) {
			continue
		}
		if found == [2]netip.Addr{} {
			if found, err = r.addresses(ctx, q.name); err != nil {
				return failure(err)
			}
		}
		if !r.hint(service, found) {
			continue
		}
		a.Header.TTL = min(a.Header.TTL, uint32(maxTTL/time.Second))
		a.Header.Name = q.question.Name
		reply.answers = append(reply.answers, *a)
	}
	return reply
}

func serviceOf(body dnsmessage.ResourceBody) *dnsmessage.SVCBResource {
	switch body := body.(type) {
	case *dnsmessage.HTTPSResource:
		return &body.SVCBResource
	case *dnsmessage.SVCBResource:
		return body
	}
	return nil
}

// hint replaces the address hints of a record, and leaves keys out that clients are not to have. It
// reports false where the record needs one that there is none for.
func (r *Resolver) hint(s *dnsmessage.SVCBResource, found [2]netip.Addr) bool {
	mandatory, _ := s.GetParam(dnsmessage.SVCParamMandatory)
	type value struct {
		key dnsmessage.SVCParamKey
		a   netip.Addr
	}
	values := []value{
		{dnsmessage.SVCParamIPv4Hint, found[virtual.V4]}, {dnsmessage.SVCParamIPv6Hint, found[virtual.V6]},
	}
	if r.o.NoECH {
		values = append(values, value{key: dnsmessage.SVCParamECH})
	}
	for _, h := range values {
		switch _, has := s.GetParam(h.key); {
		case !has:
		case h.a.IsValid():
			s.SetParam(h.key, h.a.AsSlice())
		default:
			s.DeleteParam(h.key)
			for ; len(mandatory) >= 2; mandatory = mandatory[2:] {
				if binary.BigEndian.Uint16(mandatory) == uint16(h.key) {
					return false
				}
			}
		}
	}
	return true
}
