//go:build linux

package nat

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"syntap/stack/inspect"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	tunflow "syntap/tun/flow"
)

// record notes a run of datagrams that has come for a client.
func (r *replies) record(m *mapping, run gso.Run) {
	if run.From.Port() != inspect.PortDNS {
		m.flows.Heard(run.From, run.Datagrams(), run.End-run.At, r.now)
		return
	}
	for at := run.At; ; {
		end := min(at+max(run.Segment, 1), run.End)
		if !r.answered(m, run.From, r.buf[at:end]) {
			m.flows.Heard(run.From, 1, end-at, r.now)
		}
		if at = end; at == run.End {
			return
		}
	}
}

// answered ends the query that a message answers, and reports whether it does.
func (r *replies) answered(m *mapping, server netip.AddrPort, message []byte) bool {
	d, ok := inspect.DNS(message)
	if !ok || !d.Response {
		return false
	}
	return m.flows.Answered(server, d, len(message), r.now, func(query *tunflow.Datagram) {
		if r.nat.o.Answered != nil {
			r.nat.o.Answered(m.Client.AddrPort, query.Opening, d)
		}
	})
}

// refused notes an ICMP error about a message to server.
func (m *mapping) refused(server netip.AddrPort, e *hostsock.Report, message []byte) {
	o := tunflow.NotReachable
	switch e.Errno {
	case unix.ECONNREFUSED:
		o = tunflow.PortRefused
	case unix.EMSGSIZE: // the client sends again, in smaller packets
		return
	}
	m.flows.Refused(server, message, o, m.nat.table.Now())
}
