package record

import (
	"net/netip"
	"time"

	"syntap/tun/flow"
)

// Datagram appends the record by which a flow without a handshake begins.
func (w *Writer) Datagram(dst []byte, seq uint64, d *AttributedDatagram) []byte {
	from := w.begin(dst, d.Time, `","level":"info","msg":"datagram","seq":`, seq)
	o := &w.o
	o.string(`,"proto":`, d.Proto.String())
	o.decision(d.Decision)
	o.ends(d.Client, d.Server)
	o.name(d.Opening)
	o.int(`,"length":`, int64(d.Length))
	o.dns(d.DNS)
	o.quic(d.QUIC)
	if d.Upstream.IsValid() {
		o.addrPort(`,"upstream":{"remote":`, d.Upstream)
		o.raw(`}`)
	}
	o.owner(d.Opening)
	o.communityID(d.Proto, d.Client, d.Server)
	return w.end(from)
}

// Flow appends the record of a connection or flow that is over; opening is the number of the record
// by which it began, 0 = that is not in the log. Its time less its duration is when it began, to
// the microsecond.
func (w *Writer) Flow(dst []byte, seq uint64, f *AttributedFlow, opening uint64) []byte {
	over := f.Started.Truncate(time.Microsecond).Add(max(f.Duration, 0).Truncate(time.Microsecond))
	from := w.begin(dst, over, `","level":"info","msg":"flow","seq":`, seq)
	o := &w.o
	if f.Datagram == nil {
		o.connection(f, opening)
	} else {
		o.exchange(f, opening)
	}
	o.said(f)
	o.owner(OpeningOf(&f.Flow))
	client, server := flowEnds(f)
	o.communityID(f.Proto(), client, server)
	return w.end(from)
}

// flowEnds returns the ends of a flow, which are those of its opening.
func flowEnds(f *AttributedFlow) (client, server netip.AddrPort) {
	if f.Datagram != nil {
		return f.Datagram.Client, f.Datagram.Server
	}
	return f.Client, f.Server
}

// connection writes the members of a TCP connection.
func (o *object) connection(f *AttributedFlow, opening uint64) {
	o.raw(`,"proto":"tcp"`)
	if opening > 0 {
		o.uint(`,"handshake_seq":`, opening)
	}
	o.ends(f.Client, f.Server)
	o.name(OpeningOf(&f.Flow))
	o.uint(`,"client_isn":`, uint64(f.ISN))
	o.uint(`,"server_isn":`, uint64(f.ServerISN))
	o.uint(`,"duration_us":`, uint64(max(f.Duration, 0).Microseconds()))
	o.uint(`,"outbound_bytes":`, f.Outbound)
	o.uint(`,"inbound_bytes":`, f.Inbound)
	o.uint(`,"retransmits":`, f.Retransmits)
	o.string(`,"closed_by":`, f.End.By())
	o.string(`,"close":`, f.End.How())
}

// exchange writes the members of a flow without a handshake.
func (o *object) exchange(f *AttributedFlow, opening uint64) {
	o.string(`,"proto":`, f.Proto().String())
	if opening > 0 {
		o.uint(`,"datagram_seq":`, opening)
	}
	o.string(`,"outcome":`, f.Outcome.String())
	o.ends(flowEnds(f))
	o.name(OpeningOf(&f.Flow))
	o.uint(`,"duration_us":`, uint64(max(f.Duration, 0).Microseconds()))
	o.uint(`,"outbound_packets":`, f.OutboundPackets)
	o.uint(`,"inbound_packets":`, f.InboundPackets)
	o.uint(`,"outbound_bytes":`, f.Outbound)
	o.uint(`,"inbound_bytes":`, f.Inbound)
}

// said writes the members about the payload.
func (o *object) said(f *AttributedFlow) {
	hello := f.Hello
	if hello == nil && f.Datagram != nil && f.Datagram.QUIC != nil {
		hello = f.Datagram.QUIC.Hello
	}
	if hello != nil {
		o.known(`,"sni":`, hello.SNI)
		o.texts(`,"alpn":[`, hello.ALPN)
		o.known(`,"tls_version":`, hello.Version)
		o.flag(`,"ech":true`, hello.ECH)
	}
	o.known(`,"http_host":`, f.HTTPHost)
	o.flag(`,"name_conflict":true`, f.NameConflict)
	o.dns(f.DNS)
}

// quic writes what an Initial says.
func (o *object) quic(q *flow.QUIC) {
	if q == nil {
		return
	}
	o.string(`,"quic":{"version":`, q.Version)
	if h := q.Hello; h != nil {
		o.known(`,"sni":`, h.SNI)
		o.texts(`,"alpn":[`, h.ALPN)
		o.flag(`,"ech":true`, h.ECH)
	}
	o.raw(`}`)
}

// maxDNS bounds the questions of messages, and their answers, in bytes as they stand in a record:
// the first ones that fit are written. Those of one message do (inspect.DNS), unless nearly all
// characters are escaped.
const maxDNS = 96 << 10

// dns writes what a DNS message says.
func (o *object) dns(d *flow.DNS) {
	if d == nil {
		return
	}
	o.raw(`,"dns":{"queries":[`)
	o.list(len(d.Queries), func(i int) {
		q := &d.Queries[i]
		o.string(`{"name":`, q.Name)
		o.string(`,"type":`, q.Type.String())
	})
	if d.Response {
		o.string(`],"rcode":`, d.RCode.String())
		o.raw(`,"answers":[`)
		o.list(len(d.Answers), func(i int) {
			r := &d.Answers[i]
			o.string(`{"name":`, r.Name)
			o.string(`,"type":`, r.Type.String())
			o.string(`,"data":`, r.Data)
			o.uint(`,"ttl":`, uint64(r.TTL))
		})
	}
	o.raw(`]}`)
}

// list writes up to n objects with commas between them, as many as fit into maxDNS bytes; write
// writes one without its end.
func (o *object) list(n int, write func(i int)) {
	from := len(o.b)
	for i := range n {
		before := len(o.b)
		if i > 0 {
			o.b = append(o.b, ',')
		}
		write(i)
		o.b = append(o.b, '}')
		if len(o.b)-from > maxDNS {
			o.b = o.b[:before]
			return
		}
	}
}
