package record

import (
	"net/netip"
	"slices"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tun/flow"
)

// Writer appends records, each one line of JSON with its members in a fixed order. It encodes by
// hand because encoding/json takes longer for a handshake than everything else together. The zero
// value is ready to use; a Writer is for one goroutine at a time.
type Writer struct {
	Chain *Chain // links each record to the one before it; nil disables that
	Run   Run    // stands in each record; the zero value disables that

	o     object
	line  []byte // scratch
	clock clock
}

// Handshake appends the record of an attempt.
func (w *Writer) Handshake(dst []byte, seq uint64, r *Attributed) []byte {
	from := w.begin(dst, r.Time, `","level":"info","msg":"handshake","seq":`, seq)
	o := &w.o
	o.string(`,"proto":"tcp","outcome":`, string(r.Outcome))
	if r.AbortedBy != "" {
		o.string(`,"aborted_by":`, string(r.AbortedBy))
	}
	if r.Upstream != nil {
		o.decision(r.Upstream.Decision)
	}
	ipv4 := r.Client.Addr().Is4()
	o.ends(r.Client, r.Server)
	o.name(r.Opening)
	o.uint(`,"client_isn":`, uint64(r.ClientISN))
	if r.KnowsServerISN() {
		o.uint(`,"server_isn":`, uint64(r.ServerISN))
	}
	o.offer(`,"client":{"win":`, &r.SYN, ipv4)
	if r.SYNACK != nil {
		o.offer(`,"server":{"win":`, r.SYNACK, ipv4)
	}
	o.uint(`,"syn_retransmits":`, uint64(r.SYNRetransmits))
	o.uint(`,"synack_retransmits":`, uint64(r.SYNACKRetransmits))
	o.bool(`,"simultaneous":`, r.Simultaneous)
	if r.Copies > 0 {
		o.uint(`,"copies":`, uint64(r.Copies))
	}
	if r.Answers > 0 {
		o.uint(`,"answers":`, uint64(r.Answers))
	}
	if r.Conflict != 0 {
		o.words(`,"conflict":`, r.Conflict.Words())
	}
	o.delay(`,"synack_us":`, r.SYNACKDelay)
	o.delay(`,"ack_us":`, r.ACKDelay)
	w.lines(r.Segments)
	o.segments(r.Record)
	o.rewrites(r.Rewrites)
	if r.Upstream != nil {
		o.upstream(r.Upstream)
	}
	o.owner(r.Opening)
	o.communityID(flow.TCP, r.Client, r.Server)
	return w.end(from)
}

// Gap appends the record of a gap, with the members of it that are set.
func (w *Writer) Gap(dst []byte, seq uint64, g *Gap) []byte {
	head := `","level":"warning","msg":"gap","seq":`
	if g.Level == "info" {
		head = `","level":"info","msg":"gap","seq":`
	}
	from := w.begin(dst, g.Time, head, seq)
	o := &w.o
	w.time(`,"from":"`, g.From)
	w.time(`,"to":"`, g.To)
	for _, n := range []struct {
		key   string
		value uint64
	}{{`,"lost":`, g.Lost}, {`,"refused":`, g.Refused}, {`,"first":`, g.First}, {`,"last":`, g.Last}} {
		if n.value > 0 {
			o.uint(n.key, n.value)
		}
	}
	o.string(`,"reason":`, string(g.Reason))
	return w.end(from)
}

// End appends the last record of a run.
func (w *Writer) End(dst []byte, seq uint64, e *End) []byte {
	from := w.begin(dst, e.Time, `","level":"info","msg":"end","seq":`, seq)
	o := &w.o
	o.uint(`,"records":{"handshake":`, e.Records.Handshake)
	o.uint(`,"datagram":`, e.Records.Datagram)
	o.uint(`,"flow":`, e.Records.Flow)
	o.uint(`,"finding":`, e.Records.Finding)
	o.uint(`,"gap":`, e.Records.Gap)
	o.raw(`}`)
	if e.Frames != nil {
		o.uint(`,"frames":{"read":`, e.Frames.Read)
		o.uint(`,"accounted":`, e.Frames.Accounted)
		if e.Frames.Died > 0 {
			o.uint(`,"died":`, e.Frames.Died)
		}
		o.raw(`}`)
	}
	return w.end(from)
}

// begin begins a record behind dst and returns where it stands.
func (w *Writer) begin(dst []byte, t time.Time, head string, seq uint64) (from int) {
	w.o.b = w.clock.append(append(dst, Begin...), t)
	w.o.uint(head, seq)
	w.o.raw(w.Run.members)
	return len(dst)
}

// end ends the record that begins at from, with its end of line.
func (w *Writer) end(from int) []byte {
	b := w.o.b
	w.o.b = nil // it is the caller's
	if w.Chain != nil {
		b = w.Chain.append(b, from)
	}
	return append(b, '}', '\n')
}

func (w *Writer) time(key string, t time.Time) {
	w.o.b = append(w.clock.append(append(w.o.b, key...), t), '"')
}

// lines writes the segments as tcpdump prints them.
func (w *Writer) lines(segments []handshake.Segment) {
	o := &w.o
	o.raw(`,"lines":[`)
	for i := range segments {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		begin := len(o.b)
		o.b = append(tcpdump.Append(append(o.b, '"'), tcpdump.Modern, &segments[i].Packet), '"')
		if text := o.b[begin+1 : len(o.b)-1]; needsEscapes(text) {
			w.line = append(w.line[:0], text...)
			o.b = AppendString(o.b[:begin], w.line)
		}
	}
	o.raw(`]`)
}

// ends writes the addresses of a connection.
func (o *object) ends(client, server netip.AddrPort) {
	family := `,"family":6,"src":`
	if client.Addr().Is4() {
		family = `,"family":4,"src":`
	}
	o.addr(family, client.Addr())
	o.uint(`,"sport":`, uint64(client.Port()))
	o.addr(`,"dst":`, server.Addr())
	o.uint(`,"dport":`, uint64(server.Port()))
}

func (o *object) offer(key string, offer *handshake.Offer, ipv4 bool) {
	o.uint(key, uint64(offer.Window))
	if offer.MSS != nil {
		o.uint(`,"mss":`, uint64(*offer.MSS))
	}
	if offer.WScale != nil {
		o.uint(`,"wscale":`, uint64(*offer.WScale))
	}
	if offer.SACKOK {
		o.raw(`,"sack_ok":true`)
	}
	if offer.Timestamp != nil {
		o.uint(`,"ts":`, uint64(*offer.Timestamp))
	}
	if ipv4 {
		o.bool(`,"df":`, offer.DF)
	}
	o.uint(`,"ttl":`, uint64(offer.TTL))
	o.bool(`,"ecn":`, offer.ECN)
	o.raw(`}`)
}

// words writes a list of words that need no escapes.
func (o *object) words(key string, words []string) {
	o.raw(key)
	separator := `["`
	for _, word := range words {
		o.raw(separator)
		o.raw(word)
		separator = `","`
	}
	o.raw(`"]`)
}

// delay writes whole microseconds; a negative delay is unknown.
func (o *object) delay(key string, d time.Duration) {
	if d >= 0 {
		o.uint(key, uint64(d.Microseconds()))
	}
}

func (o *object) rewrites(rewrites []handshake.Rewrite) {
	o.raw(`,"rewrites":[`)
	for i := range rewrites {
		w := &rewrites[i]
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.string(`{"packet":`, w.Packet)
		o.string(`,"what":`, w.What)
		if w.From != "none" { // else the rule has added the option
			o.value(`,"from":`, Value(w.From))
		}
		o.value(`,"to":`, Value(w.To))
		o.uint(`,"rule":`, uint64(w.Rule))
		o.raw(`}`)
	}
	o.raw(`]`)
}

// value adds a number as such, and another value as a string.
func (o *object) value(key string, v Value) {
	if v.isNumber() {
		o.raw(key)
		o.raw(string(v))
		return
	}
	o.string(key, string(v))
}

func (o *object) upstream(u *flow.Upstream) {
	o.raw(`,"upstream":{`)
	from := len(o.b)
	o.addrPort(`,"local":`, u.Local)
	o.addrPort(`,"remote":`, u.Remote)
	o.uint(`,"dial_us":`, uint64(max(u.DialTime, 0).Microseconds()))
	if u.MSS != 0 {
		o.uint(`,"mss":`, uint64(u.MSS))
	}
	if u.Error != "" {
		o.string(`,"error":`, u.Error)
	}
	o.b = append(slices.Delete(o.b, from, from+1), '}') // the first comma
}
