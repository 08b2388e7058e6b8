//go:build linux

package router

import (
	"net/netip"
	"time"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/record"
	"syntap/stack"
	"syntap/tun/flow"
)

// attemptedHandshake hands on the attempt of a handshake.
func (r *router) attemptedHandshake(h *record.Attributed) {
	a := attempt.OfHandshake(h)
	a.Nameserver = r.isNameserver(h.Server)
	r.attempted(&a)
}

// attemptedDatagram hands on the attempt of a flow without a handshake.
func (a *assembly) attemptedDatagram(d *record.AttributedDatagram) {
	at := attempt.OfDatagram(d)
	at.Nameserver = a.isNameserver(d.Server)
	if at.Denied() {
		if name := a.policy.deniedName(d.DNS, at.Owner); name != "" {
			at.Name, at.Question = name, true
		}
	}
	a.attempted(&at)
}

// forbidden hands on the attempt of a connection or flow that says another name than its own.
func (a *assembly) forbidden(f flow.Flow, remote netip.AddrPort) {
	tell := func() {
		at := attempt.OfContradiction(&f, remote, time.Now())
		a.attempted(&at)
	}
	if f.Datagram == nil || a.owners == nil {
		tell()
		return
	}
	a.owners.beforeDatagramAnswer(f.Datagram, tell)
}

func (r *router) isNameserver(server netip.AddrPort) bool {
	return server.Port() == portDNS && r.nameserverAt != nil && r.nameserverAt(server.Addr())
}

// followResolved has resolved see the responses to DNS queries.
func (r *router) followResolved(o *stack.Options) {
	next := o.DNSAnswered
	o.DNSAnswered = func(client netip.AddrPort, opening flow.Opening, response *flow.DNS) {
		if next != nil {
			next(client, opening, response)
		}
		var owner *record.Owner
		if o := record.AsOpening(opening); o != nil {
			owner = o.Owner
		}
		r.resolved(owner, response)
	}
}
