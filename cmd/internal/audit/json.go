package audit

import (
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/tap"
	"syntap/tap/tcpdump"
	"syntap/tun/flow"
)

// jsonFormatter writes an event as one JSON object on one line, with the keys of a fixed order. It
// encodes by hand because a handshake costs the encoder of the standard library more time than
// everything else together.
type jsonFormatter struct {
	object
	line  []byte // scratch
	clock clock
	chain *chain // nil = records stand for themselves
}

// Format implements logrus.Formatter. The bytes are valid until the next call.
func (f *jsonFormatter) Format(e *logrus.Entry) ([]byte, error) {
	event, ok := e.Data[EventKey].(*Event)
	if !ok {
		return nil, errors.New("entry is not about an event")
	}
	f.b = f.b[:0]
	f.open()
	f.time("time", e.Time)
	f.string("level", e.Level.String())
	f.string("msg", e.Message)
	f.uint("seq", event.Seq)
	switch {
	case event.Record != nil:
		f.record(event.Record)
	case event.Flow != nil:
		f.flow(event.Flow)
	case event.Gap != nil:
		f.gap(event.Gap)
	case event.End != nil:
		f.end(event.End)
	}
	if f.chain != nil {
		f.chain.append(&f.object)
	}
	f.close()
	f.b = append(f.b, '\n')
	return f.b, nil
}

func (f *jsonFormatter) gap(g *Gap) {
	f.time("from", g.From)
	f.time("to", g.To)
	switch {
	case g.Reason == Suspended:
		f.uint("refused", g.Lost)
	case g.Reason.numbered():
		if g.First > 0 {
			f.uint("first", g.First)
		}
		f.uint("last", g.Last)
	default:
		f.uint("lost", g.Lost)
	}
	f.string("reason", string(g.Reason))
}

func (f *jsonFormatter) end(e *End) {
	f.key("records")
	f.open()
	for _, kind := range kinds {
		f.uint(kind, e.Records[kind])
	}
	f.close()
	if e.Frames != nil {
		f.key("frames")
		f.open()
		f.uint("read", e.Frames.Read)
		f.uint("accounted", e.Frames.Accounted)
		f.close()
	}
}

// ends writes what the records about a connection have in common.
func (f *jsonFormatter) ends(client, server netip.AddrPort) {
	family := uint64(6)
	if client.Addr().Is4() {
		family = 4
	}
	f.uint("family", family)
	f.addr("src", client.Addr())
	f.uint("sport", uint64(client.Port()))
	f.addr("dst", server.Addr())
	f.uint("dport", uint64(server.Port()))
}

func (f *jsonFormatter) communityID(client, server netip.AddrPort) {
	f.key("community_id")
	f.b = append(f.b, '"')
	f.b = appendCommunityID(f.b, client, server)
	f.b = append(f.b, '"')
}

func (f *jsonFormatter) flow(w *flow.Flow) {
	f.ends(w.Client, w.Server)
	f.uint("client_isn", uint64(w.ISN))
	f.uint("server_isn", uint64(w.ServerISN))
	f.uint("duration_us", uint64(max(w.Duration, 0).Microseconds()))
	f.uint("outbound_bytes", w.Outbound)
	f.uint("inbound_bytes", w.Inbound)
	f.uint("retransmits", w.Retransmits)
	f.string("closed_by", w.End.By())
	f.string("close", w.End.How())
	f.communityID(w.Client, w.Server)
}

func (f *jsonFormatter) record(r *tap.Record) {
	f.string("outcome", string(r.Outcome))
	if r.AbortedBy != "" {
		f.string("aborted_by", string(r.AbortedBy))
	}
	ipv4 := r.Client.Addr().Is4()
	f.ends(r.Client, r.Server)
	f.uint("client_isn", uint64(r.ClientISN))
	if r.SYNACK != nil {
		f.uint("server_isn", uint64(r.ServerISN))
	}
	f.offer("client", &r.SYN, ipv4)
	if r.SYNACK != nil {
		f.offer("server", r.SYNACK, ipv4)
	}
	f.uint("syn_retransmits", uint64(r.SYNRetransmits))
	f.uint("synack_retransmits", uint64(r.SYNACKRetransmits))
	f.bool("simultaneous", r.Simultaneous)
	f.delay("synack_us", r.SYNACKDelay)
	f.delay("ack_us", r.ACKDelay)
	f.lines(r.Segments)
	f.rewrites(r.Rewrites)
	if r.Upstream != nil {
		f.upstream(r.Upstream)
	}
	if r.Owner != nil {
		f.owner(r.Owner)
	}
	f.communityID(r.Client, r.Server)
}

func (f *jsonFormatter) offer(key string, o *tap.Offer, ipv4 bool) {
	f.key(key)
	f.open()
	f.uint("win", uint64(o.Window))
	if o.MSS != nil {
		f.uint("mss", uint64(*o.MSS))
	}
	if o.WScale != nil {
		f.uint("wscale", uint64(*o.WScale))
	}
	if o.SACKOK {
		f.bool("sack_ok", true)
	}
	if o.Timestamp != nil {
		f.uint("ts", uint64(*o.Timestamp))
	}
	if ipv4 {
		f.bool("df", o.DF)
	}
	f.uint("ttl", uint64(o.TTL))
	f.bool("ecn", o.ECN)
	f.close()
}

// delay writes whole microseconds; a negative delay is one that nobody knows.
func (f *jsonFormatter) delay(key string, d time.Duration) {
	if d >= 0 {
		f.uint(key, uint64(d.Microseconds()))
	}
}

func (f *jsonFormatter) lines(segments []tap.Segment) {
	f.key("lines")
	f.openList()
	for i := range segments {
		f.line = tcpdump.Append(f.line[:0], tcpdump.Modern, &segments[i].Packet)
		f.element()
		f.b = appendString(f.b, f.line)
	}
	f.closeList()
}

func (f *jsonFormatter) rewrites(rewrites []tap.Rewrite) {
	f.key("rewrites")
	f.openList()
	for i := range rewrites {
		w := &rewrites[i]
		f.element()
		f.open()
		f.string("packet", w.Packet)
		f.string("what", w.What)
		f.string("from", w.From)
		f.string("to", w.To)
		f.uint("rule", uint64(w.Rule))
		f.close()
	}
	f.closeList()
}

func (f *jsonFormatter) upstream(u *flow.Upstream) {
	f.key("upstream")
	f.open()
	f.addrPort("local", u.Local)
	f.addrPort("remote", u.Remote)
	f.uint("dial_us", uint64(max(u.DialTime, 0).Microseconds()))
	if u.MSS != 0 {
		f.uint("mss", uint64(u.MSS))
	}
	if u.Error != "" {
		f.string("error", u.Error)
	}
	f.close()
}

func (f *jsonFormatter) owner(o *tap.Owner) {
	f.uint("uid", uint64(o.UID))
	if o.PID != 0 {
		f.uint("pid", uint64(o.PID))
		f.string("process", o.Process)
	}
}

func (f *jsonFormatter) addr(key string, a netip.Addr) {
	f.key(key)
	f.b = append(f.b, '"')
	f.b = a.AppendTo(f.b)
	f.b = append(f.b, '"')
}

// addrPort writes nothing for an address that there is not.
func (f *jsonFormatter) addrPort(key string, a netip.AddrPort) {
	if !a.IsValid() {
		return
	}
	f.key(key)
	f.b = append(f.b, '"')
	f.b = a.AppendTo(f.b)
	f.b = append(f.b, '"')
}

func (f *jsonFormatter) time(key string, t time.Time) {
	f.key(key)
	f.b = append(f.b, '"')
	f.b = f.clock.append(f.b, t)
	f.b = append(f.b, '"')
}

func (f *jsonFormatter) string(key, value string) {
	f.key(key)
	f.b = appendString(f.b, value)
}

func (f *jsonFormatter) uint(key string, value uint64) {
	f.key(key)
	f.b = strconv.AppendUint(f.b, value, 10)
}

func (f *jsonFormatter) bool(key string, value bool) {
	f.key(key)
	f.b = strconv.AppendBool(f.b, value)
}
