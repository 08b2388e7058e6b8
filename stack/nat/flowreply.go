//go:build linux

package nat

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/inspect"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	tunflow "syntap/tun/flow"
)

// record notes a run of datagrams that has come for a client.
func (r *replies) record(m *mapping, run gso.Run) {
	if run.From.Port() != inspect.PortDNS {
		m.heard(run.From, run.Datagrams(), run.End-run.At, r.now)
		return
	}
	for at := run.At; ; {
		end := min(at+max(run.Segment, 1), run.End)
		if !r.answered(m, run.From, r.buf[at:end]) {
			m.heard(run.From, 1, end-at, r.now)
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
	l := m.flows.answered(server, d, len(message), r.now)
	if l == nil {
		return false
	}
	if r.nat.o.Answered != nil {
		r.nat.o.Answered(m.Client.AddrPort, l.opened.Opening, d)
	}
	m.recorder.report(l)
	return true
}

// heard counts datagrams that have come from a far end.
func (m *mapping) heard(server netip.AddrPort, packets, bytes int, now time.Duration) {
	if !m.flows.heard(server, packets, bytes, now) {
		m.stats.Unsolicited.Add(uint64(packets))
	}
}

// refused notes an ICMP error about a message to server.
func (r *recorder) refused(m *mapping, server netip.AddrPort, e *hostsock.Report, message []byte) {
	o := tunflow.NotReachable
	switch e.Errno {
	case unix.ECONNREFUSED:
		o = tunflow.PortRefused
	case unix.EMSGSIZE: // the client sends again, in smaller packets
		return
	}
	if l := m.flows.refused(server, message, o, r.table.Now()); l != nil {
		r.report(l)
	}
}
