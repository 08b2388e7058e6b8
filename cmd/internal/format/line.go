package format

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
	"syntap/tun/flow"
)

// Line appends connections as lines for people, in columns: time, outcome, owner, client and
// server, and details: connect time, payload, duration, end.
//
//	2026-11-26 08:50:00.123  established  curl[4711] alice  192.0.2.1:40000 → www.example.com:443  connect 862 µs, …
type Line struct {
	Location *time.Location // of times; nil = time.Local
	Routers  bool           // the second column is the router

	b       []byte
	details int    // in the line
	clock   []byte // of second, without fractions
	second  int64  // since the epoch
}

// Widths of columns, in characters; longer values push the rest to the right.
const (
	routerWidth  = 12
	outcomeWidth = len("established")
	ownerWidth   = 22
	endsWidth    = 48
)

// Append appends the line of a connection.
func (f *Line) Append(dst []byte, c *Connection) []byte {
	r := c.first()
	if r.Type == Finding {
		return f.finding(dst, r, c.Router)
	}
	f.begin(dst, c.Start())
	f.router(c.Router)
	at := f.column()
	f.outcome(c.Outcome())
	f.fill(at, outcomeWidth)
	at = f.column()
	f.owner(&r.Owner)
	f.fill(at, ownerWidth)
	at = f.column()
	f.ends(r)
	f.fill(at, endsWidth)
	f.opening(c)
	f.payload(c)
	f.ending(c)
	return f.finish()
}

// Finding appends the line of a finding.
func (f *Line) Finding(dst []byte, r *Record) []byte { return f.finding(dst, r, "") }

func (f *Line) finding(dst []byte, r *Record, router string) []byte {
	f.begin(dst, r.Time)
	f.router(router)
	at := f.column()
	f.text(r.Type.String())
	f.fill(at, outcomeWidth)
	f.fill(f.column(), ownerWidth)
	at = f.column()
	f.text(FindingPlace(r.Finding))
	f.fill(at, endsWidth)
	for _, detail := range FindingDetails(r.Finding) {
		f.say(detail)
	}
	return f.finish()
}

// FindingPlace returns the place of a finding, by address and name.
func FindingPlace(f *record.Finding) string {
	if f.Name == "" {
		return f.Dst
	}
	return strings.TrimSpace(f.Dst + " " + f.Name)
}

// FindingDetails returns the rest of a finding in words: "black hole up", "1400 bytes pass", "1401
// vanish", "cure: clamp 1360".
func FindingDetails(f *record.Finding) []string {
	all := []string{strings.TrimSpace(strings.ReplaceAll(string(f.Kind), "_", " ") + " " + f.Direction)}
	if f.Leg == record.ClientLeg {
		all = append(all, "on the client's leg")
	}
	if f.Passes > 0 {
		all = append(all, fmt.Sprintf("%d bytes pass", f.Passes))
	}
	if f.Fails > 0 {
		all = append(all, fmt.Sprintf("%d vanish", f.Fails))
	}
	if f.Kind == record.Unrecorded {
		all = append(all, fmt.Sprintf("%d flows", f.Flows))
		if f.Proto != "" {
			all = append(all, strings.TrimSuffix(fmt.Sprintf("%s to port %d", f.Proto, f.DPort), " to port 0"))
		}
	}
	if f.Kind == record.DNSTunnel {
		all = append(all, fmt.Sprintf("%d queries, more are refused", f.Flows))
	}
	switch {
	case f.Clamp > 0 && f.Applied:
		all = append(all, fmt.Sprintf("clamp %d applied", f.Clamp))
	case f.Clamp > 0:
		all = append(all, fmt.Sprintf("cure: clamp %d", f.Clamp))
	}
	return all
}

// begin writes when a line begins. Lines of the same second share most of it.
func (f *Line) begin(dst []byte, t time.Time) {
	if s := t.Unix(); f.clock == nil || s != f.second {
		where := f.Location
		if where == nil {
			where = time.Local
		}
		f.clock, f.second = t.In(where).AppendFormat(f.clock[:0], "2006-01-02 15:04:05."), s
	}
	f.b, f.details = append(dst, f.clock...), 0
	ms := t.Nanosecond() / int(time.Millisecond)
	f.b = append(f.b, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

func (f *Line) finish() []byte {
	b := f.b
	f.b = nil
	for b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return append(b, '\n')
}

// text writes a text of unknown origin.
func (f *Line) text(s string) { f.b = append(f.b, terminal.Clean(s)...) }

func (f *Line) number(n int) { f.b = strconv.AppendInt(f.b, int64(n), 10) }

// column begins a column and returns its place in the line.
func (f *Line) column() (at int) {
	f.b = append(f.b, "  "...)
	return len(f.b)
}

// fill writes spaces up to the width of the column that begins at a place; an empty one gets "-".
func (f *Line) fill(at, width int) {
	if len(f.b) == at {
		f.b = append(f.b, '-')
	}
	for n := utf8.RuneCount(f.b[at:]); n < width; n++ {
		f.b = append(f.b, ' ')
	}
}

// detail begins one of the details, which are separated by commas.
func (f *Line) detail() {
	if f.details > 0 {
		f.b = append(f.b, ',')
	} else {
		f.b = append(f.b, ' ')
	}
	f.b = append(f.b, ' ')
	f.details++
}

// say writes a detail that is one text.
func (f *Line) say(s string) {
	f.detail()
	f.text(s)
}

// tell writes a detail that is two texts.
func (f *Line) tell(first, second string) {
	f.say(first)
	f.b = append(f.b, ' ')
	f.text(second)
}

func (f *Line) span(word string, d time.Duration) {
	f.say(word)
	f.b = appendSpan(append(f.b, ' '), d)
}

func (f *Line) size(word string, n uint64) {
	f.say(word)
	f.b = appendSize(append(f.b, ' '), n)
}

// router writes the column of the router, if there is one.
func (f *Line) router(name string) {
	if !f.Routers {
		return
	}
	at := f.column()
	f.text(name)
	f.fill(at, routerWidth)
}

// outcome writes an outcome, which is a word of ours unless others have made the record.
func (f *Line) outcome(s string) {
	at := len(f.b)
	f.text(s)
	for i, c := range f.b[at:] {
		if c == '_' {
			f.b[at+i] = ' '
		}
	}
}

// owner writes process and user, as "curl[4711] alice".
func (f *Line) owner(w *Owner) {
	if !w.Known {
		return
	}
	if w.PID != 0 {
		f.text(w.Process)
		f.b = append(f.b, '[')
		f.number(w.PID)
		f.b = append(f.b, "] "...)
	}
	if w.User != "" {
		f.text(w.User)
		return
	}
	f.b = strconv.AppendUint(append(f.b, "user "...), uint64(w.UID), 10)
}

// ends writes client and server, this one by the name that the client knows it by.
func (f *Line) ends(r *Record) {
	f.end(r.Client, "", r.Proto)
	f.b = append(f.b, " → "...)
	f.end(r.Server, r.Name, r.Proto)
	switch r.Proto {
	case flow.ICMP:
		f.b = append(f.b, " icmp"...)
	case flow.UDP:
		f.b = append(f.b, "/udp"...)
	case flow.TCP:
	}
}

// end writes one end, without its port where the protocol has none.
func (f *Line) end(a netip.AddrPort, name string, p flow.Proto) {
	switch {
	case name != "":
		f.text(name)
	case !a.Addr().IsValid():
		f.b = append(f.b, '?')
		return
	case p == flow.ICMP:
		f.b = a.Addr().AppendTo(f.b)
	default:
		f.b = a.AppendTo(f.b)
		return
	}
	if p != flow.ICMP {
		f.b = append(f.b, ':')
		f.number(int(a.Port()))
	}
}

// opening writes how the connection came about, or why it did not.
func (f *Line) opening(c *Connection) {
	r := c.first()
	switch {
	case c.Opening == nil:
		return
	case r.Denied() && r.Reason != "":
		f.say(r.Reason)
	case r.Denied():
		f.say(r.Rule)
	case r.Type == Handshake && r.SYNACKDelay >= 0:
		f.span("connect", r.SYNACKDelay)
	}
	if r.AbortedBy != "" {
		f.tell("by", r.AbortedBy)
	}
	if r.Upstream.Error != "" {
		f.say(r.Upstream.Error)
	}
	if r.Type == Handshake && r.Outcome != "established" && r.Last > 0 {
		f.span("after", r.Last)
	}
}

// payload writes questions, and names in the payload that differ from the name.
func (f *Line) payload(c *Connection) {
	p := c.payload()
	for i, q := range p.Queries {
		if i == 0 {
			f.detail()
		} else {
			f.b = append(f.b, ' ')
		}
		f.text(q.Type)
		f.b = append(f.b, ' ')
		f.text(q.Name)
	}
	if len(p.Queries) > 0 && p.RCode != "" {
		f.say(p.RCode)
	}
	name := c.first().Name
	switch {
	case p.SNI != "" && p.SNI != name && p.ECH:
		f.tell("outer SNI", p.SNI)
	case p.SNI != "" && p.SNI != name:
		f.tell("SNI", p.SNI)
	case p.HTTPHost != "" && p.HTTPHost != name:
		f.tell("Host", p.HTTPHost)
	}
}

// ending writes bytes, duration and how it ended.
func (f *Line) ending(c *Connection) {
	e := c.End
	switch {
	case e != nil:
		f.size("out", e.Bytes.Outbound)
		f.size("in", e.Bytes.Inbound)
		if e.Duration > 0 { // else one datagram without an answer
			f.span("lasted", e.Duration)
		}
		if e.Close != "" {
			f.tell(e.ClosedBy, e.Close)
		}
	case c.State == Alive:
		f.say("open")
	case c.State == EndMissing:
		f.say("end unknown")
	}
}
