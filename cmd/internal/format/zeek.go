package format

import (
	"strconv"
	"strings"

	"syntap/tun/flow"
)

// Zeek appends connections as Zeek's conn.log has them in JSON, one line each. The zero value is
// ready to use.
type Zeek struct{ o object }

// ZeekBegin is how each line begins.
const ZeekBegin = `{"ts":`

// Append appends a connection. Without the record of its handshake it has no history of that.
func (f *Zeek) Append(dst []byte, c *Connection) []byte {
	first, end := c.first(), c.End
	f.o.b = append(dst, ZeekBegin...)
	o := &f.o
	o.b = appendSeconds(o.b, first.Start().UnixMicro())
	o.key("uid")
	o.b = append(append(append(o.b, '"'), first.UID()...), '"')
	f.ends(first)
	if service := zeekService(first, end); service != "" {
		o.word("service", service)
	}
	f.counts(first, end)
	o.word("conn_state", zeekState(first, end))
	o.raw("missed_bytes", "0")
	f.history(c)
	if end != nil && end.Proto != flow.TCP {
		o.uint("orig_pkts", end.Packets.Outbound)
		o.uint("resp_pkts", end.Packets.Inbound)
	}
	o.uint("ip_proto", first.number())
	o.communityID("community_id", first)
	return o.line()
}

// ends writes the ends of a connection. Those of an echo have the types of request and reply for
// ports (Zeek, Conn): RFC 792, RFC 4443 §4.
func (f *Zeek) ends(r *Record) {
	o := &f.o
	source, destination := uint64(r.Client.Port()), uint64(r.Server.Port())
	switch {
	case r.Proto == flow.ICMP && r.Client.Addr().Is4():
		source, destination = 8, 0
	case r.Proto == flow.ICMP:
		source, destination = 128, 129
	}
	o.addr("id.orig_h", r.Client.Addr())
	o.uint("id.orig_p", source)
	o.addr("id.resp_h", r.Server.Addr())
	o.uint("id.resp_p", destination)
	o.word("proto", r.transport())
}

// zeekService returns the protocol in the payload by the name of Zeek's analyzer.
func zeekService(first, end *Record) string {
	app := first.application()
	if end != nil {
		if later := end.application(); later != "" {
			app = later
		}
	}
	switch app {
	case "tls":
		return "ssl"
	case "quic":
		return "quic,ssl"
	}
	return app
}

// counts writes duration and bytes, which Zeek leaves out of a connection of one packet.
func (f *Zeek) counts(first, end *Record) {
	o := &f.o
	duration, bytes := first.Last, Traffic{}
	if end != nil {
		duration, bytes = end.Duration, end.Bytes
	}
	if duration <= 0 {
		return
	}
	o.key("duration")
	o.b = appendSeconds(o.b, duration.Microseconds())
	o.uint("orig_bytes", bytes.Outbound)
	o.uint("resp_bytes", bytes.Inbound)
}

// zeekState returns the state of a connection as Zeek's function conn_state does.
func zeekState(first, end *Record) string {
	switch first.Proto {
	case flow.ICMP:
		return "OTH"
	case flow.UDP:
		if end != nil && end.Packets.Inbound > 0 {
			return "SF"
		}
		return "S0"
	case flow.TCP:
	}
	if end != nil {
		switch {
		case end.Close == "fin":
			return "SF"
		case end.Close == "rst" && end.ClosedBy == "client":
			return "RSTO"
		case end.Close != "":
			return "RSTR"
		}
	}
	switch first.Outcome {
	case "refused", "denied":
		return "REJ"
	case "unreachable", "no_reply":
		return "S0"
	case "aborted":
		switch {
		case first.AbortedBy != "client":
			return "RSTR"
		case strings.IndexByte(first.History, 'h') >= 0:
			return "RSTO"
		}
		return "RSTOS0"
	}
	return "S1"
}

// history writes the letters of a connection's history, if there are any.
func (f *Zeek) history(c *Connection) {
	o := &f.o
	before := len(o.b)
	o.raw("history", `"`)
	from := len(o.b)
	switch {
	case c.End == nil:
		o.b = append(o.b, c.Opening.history()...)
	case c.End.Proto != flow.TCP:
		o.b = append(o.b, c.End.history()...)
	default:
		if c.Opening != nil {
			o.b = append(o.b, c.Opening.History...)
		}
		o.b = appendEnd(o.b, c.End)
	}
	if len(o.b) == from {
		o.b = o.b[:before]
		return
	}
	o.b = append(o.b, '"')
}

// appendSeconds appends microseconds as seconds with six decimals.
func appendSeconds(b []byte, us int64) []byte {
	if us < 0 {
		b, us = append(b, '-'), -us
	}
	b = append(strconv.AppendInt(b, us/1e6, 10), '.')
	for unit, rest := int64(1e5), us%1e6; unit > 0; unit /= 10 {
		b = append(b, '0'+byte(rest/unit%10))
	}
	return b
}
