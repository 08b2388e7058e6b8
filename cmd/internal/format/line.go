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

	b       []byte
	details int // in the line
}

// Widths of columns, in characters; longer values push the rest to the right.
const (
	outcomeWidth = len("established")
	ownerWidth   = 22
	endsWidth    = 48
)

// Append appends the line of a connection.
func (f *Line) Append(dst []byte, c *Connection) []byte {
	r := c.first()
	if r.Type == Finding {
		return f.Finding(dst, r)
	}
	f.begin(dst, c.Start())
	f.column(strings.ReplaceAll(c.Outcome(), "_", " "), outcomeWidth)
	f.column(owner(&r.Owner), ownerWidth)
	f.column(lineEnds(r), endsWidth)
	f.opening(c)
	f.payload(c)
	f.end(c)
	return f.finish()
}

// Finding appends the line of a finding.
func (f *Line) Finding(dst []byte, r *Record) []byte {
	f.begin(dst, r.Time)
	f.column(r.Type.String(), outcomeWidth)
	f.column("", ownerWidth)
	f.column(FindingPlace(r.Finding), endsWidth)
	for _, detail := range FindingDetails(r.Finding) {
		f.detail(detail)
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
	if f.Passes > 0 {
		all = append(all, fmt.Sprintf("%d bytes pass", f.Passes))
	}
	if f.Fails > 0 {
		all = append(all, fmt.Sprintf("%d vanish", f.Fails))
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

func (f *Line) begin(dst []byte, t time.Time) {
	where := f.Location
	if where == nil {
		where = time.Local
	}
	f.b, f.details = t.In(where).AppendFormat(dst, "2006-01-02 15:04:05.000"), 0
}

func (f *Line) finish() []byte {
	b := f.b
	f.b = nil
	for b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return append(b, '\n')
}

// column writes a value and fills it up to a width.
func (f *Line) column(value string, width int) {
	value = terminal.Clean(value)
	if value == "" {
		value = "-"
	}
	f.b = append(append(f.b, "  "...), value...)
	for n := utf8.RuneCountInString(value); n < width; n++ {
		f.b = append(f.b, ' ')
	}
}

// detail writes one of the details, which are separated by commas.
func (f *Line) detail(words ...string) {
	separator := "  "
	if f.details > 0 {
		separator = ", "
	}
	f.details++
	f.b = append(f.b, separator...)
	for i, word := range words {
		if i > 0 {
			f.b = append(f.b, ' ')
		}
		f.b = append(f.b, terminal.Clean(word)...)
	}
}

// owner returns process and user, as "curl[4711] alice".
func owner(w *Owner) string {
	if !w.Known {
		return ""
	}
	user := w.User
	if user == "" {
		user = "user " + strconv.FormatUint(uint64(w.UID), 10)
	}
	if w.PID == 0 {
		return user
	}
	return w.Process + "[" + strconv.Itoa(w.PID) + "] " + user
}

// lineEnds returns client and server, this one by the name that the client knows it by.
func lineEnds(r *Record) string {
	if r.Proto == flow.ICMP {
		server := r.Name
		if server == "" {
			server = address(r.Server.Addr())
		}
		return address(r.Client.Addr()) + " → " + server + " icmp"
	}
	server := addrPort(r.Server)
	if r.Name != "" {
		server = r.Name + ":" + strconv.Itoa(int(r.Server.Port()))
	}
	if r.Proto != flow.TCP {
		server += "/" + r.transport()
	}
	return addrPort(r.Client) + " → " + server
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return "?"
	}
	return a.String()
}

func addrPort(a netip.AddrPort) string {
	if !a.IsValid() {
		return "?"
	}
	return a.String()
}

// opening writes how the connection came about, or why it did not.
func (f *Line) opening(c *Connection) {
	r := c.first()
	switch {
	case c.Opening == nil:
		return
	case r.Denied() && r.Reason != "":
		f.detail(r.Reason)
	case r.Denied():
		f.detail(r.Rule)
	case r.Type == Handshake && r.SYNACKDelay >= 0:
		f.detail("connect", Span(r.SYNACKDelay))
	}
	if r.AbortedBy != "" {
		f.detail("by", r.AbortedBy)
	}
	if r.Upstream.Error != "" {
		f.detail(r.Upstream.Error)
	}
	if r.Type == Handshake && r.Outcome != "established" && r.Last > 0 {
		f.detail("after", Span(r.Last))
	}
}

// payload writes questions, and names in the payload that differ from the name.
func (f *Line) payload(c *Connection) {
	p := c.payload()
	if len(p.Queries) > 0 {
		f.detail(queries(p.Queries))
		if p.RCode != "" {
			f.detail(p.RCode)
		}
	}
	name := c.first().Name
	switch {
	case p.SNI != "" && p.SNI != name && p.ECH:
		f.detail("outer SNI", p.SNI)
	case p.SNI != "" && p.SNI != name:
		f.detail("SNI", p.SNI)
	case p.HTTPHost != "" && p.HTTPHost != name:
		f.detail("Host", p.HTTPHost)
	}
}

// end writes bytes, duration and how it ended.
func (f *Line) end(c *Connection) {
	e := c.End
	switch {
	case e != nil:
		f.detail("out", Size(e.Bytes.Outbound))
		f.detail("in", Size(e.Bytes.Inbound))
		if e.Duration > 0 { // else one datagram without an answer
			f.detail("lasted", Span(e.Duration))
		}
		if e.Close != "" {
			f.detail(e.ClosedBy, e.Close)
		}
	case c.State == Alive:
		f.detail("open")
	case c.State == EndMissing:
		f.detail("end unknown")
	}
}

// Span returns a duration with three significant digits.
func Span(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case d < time.Second:
		return threeDigits(float64(d)/float64(time.Millisecond)) + " ms"
	case d < time.Minute:
		return threeDigits(d.Seconds()) + " s"
	}
	return d.Round(time.Second).String()
}

// Size returns a number of bytes with three significant digits.
func Size(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	v := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v /= 1024; v < 1000 || unit == "TiB" {
			return threeDigits(v) + " " + unit
		}
	}
	return ""
}

func threeDigits(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}
