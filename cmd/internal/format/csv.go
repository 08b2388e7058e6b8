package format

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
	"syntap/tun/flow"
)

// csvColumns are the columns of a table. They are fixed: a new one comes last.
var csvColumns = []string{
	"time", "outcome", "proto", "src", "sport", "dst", "dport", "name", "sni", "http_host", "alpn", "tls_version",
	"query", "rcode", "uid", "user", "pid", "process", "exe", "unit", "container", "verdict", "rule", "reason",
	"synack_us", "state", "duration_us", "outbound_bytes", "inbound_bytes", "outbound_packets", "inbound_packets",
	"aborted_by", "closed_by", "close", "upstream_local", "upstream_remote", "error", "host", "run_id", "seq",
	"end_seq", "connection", "community_id",
}

// CSVHeader is the first line of a table.
func CSVHeader() string { return strings.Join(csvColumns, ",") + "\n" }

// CSV appends connections as rows of a table (RFC 4180, but with lines that end in a line feed
// alone). Unknown values are empty. Texts from outside are printable, and those that a spreadsheet
// would take for a formula begin with an apostrophe. The zero value is ready to use.
type CSV struct {
	b     []byte
	first bool
}

// Append appends the row of a connection.
func (f *CSV) Append(dst []byte, c *Connection) []byte {
	f.b, f.first = dst, true
	r, p, e := c.first(), c.payload(), c.End
	if e == nil {
		e = &Record{Duration: -1}
	}
	f.time(c.Start())
	f.text(c.Outcome())
	f.text(r.transport())
	f.end(r.Client, r.Proto)
	f.end(r.Server, r.Proto)
	f.text(r.Name)
	f.text(p.SNI)
	f.text(p.HTTPHost)
	f.text(strings.Join(p.ALPN, " "))
	f.text(p.TLSVersion)
	f.text(queries(p.Queries))
	f.text(e.RCode)
	f.owner(&r.Owner)
	f.text(r.Verdict)
	f.text(r.Rule)
	f.text(r.Reason)
	f.micros(r.SYNACKDelay, c.Opening != nil)
	f.text(c.State.String())
	f.micros(e.Duration, c.End != nil)
	f.number(e.Bytes.Outbound, c.End != nil)
	f.number(e.Bytes.Inbound, c.End != nil)
	f.number(e.Packets.Outbound, c.End != nil && r.Proto != flow.TCP)
	f.number(e.Packets.Inbound, c.End != nil && r.Proto != flow.TCP)
	f.text(r.AbortedBy)
	f.text(e.ClosedBy)
	f.text(e.Close)
	f.addrPort(r.Upstream.Local)
	f.addrPort(r.Upstream.Remote)
	f.text(r.Upstream.Error)
	f.text(r.Host)
	f.text(r.RunID)
	f.seq(c.Opening)
	f.seq(c.End)
	f.b = append(f.next(), r.UID()...)
	f.b = record.AppendCommunityID(f.next(), r.Proto, r.Client, r.Server)
	dst, f.b = append(f.b, '\n'), nil
	return dst
}

// next begins a field and returns the text before it.
func (f *CSV) next() []byte {
	if !f.first {
		f.b = append(f.b, ',')
	}
	f.first = false
	return f.b
}

// text writes a text of unknown origin.
func (f *CSV) text(s string) {
	f.next()
	if s == "" {
		return
	}
	s = terminal.Clean(s)
	if strings.IndexByte("=+-@", s[0]) >= 0 { // a formula
		s = "'" + s
	}
	if !strings.ContainsAny(s, "\",\n\r") {
		f.b = append(f.b, s...)
		return
	}
	f.b = append(f.b, '"')
	for {
		before, after, quote := strings.Cut(s, `"`)
		f.b = append(f.b, before...)
		if !quote {
			break
		}
		f.b = append(f.b, `""`...)
		s = after
	}
	f.b = append(f.b, '"')
}

func (f *CSV) time(t time.Time) {
	f.b = t.UTC().AppendFormat(f.next(), "2006-01-02T15:04:05.000000Z")
}

// end writes an address and a port; an echo has an identifier for the client's.
func (f *CSV) end(end netip.AddrPort, p flow.Proto) {
	f.b = end.Addr().AppendTo(f.next())
	f.number(uint64(end.Port()), p != flow.ICMP || end.Port() != 0)
}

func (f *CSV) addrPort(a netip.AddrPort) {
	f.next()
	if a.IsValid() {
		f.b = a.AppendTo(f.b)
	}
}

func (f *CSV) number(n uint64, known bool) {
	f.next()
	if known {
		f.b = strconv.AppendUint(f.b, n, 10)
	}
}

func (f *CSV) micros(d time.Duration, known bool) {
	f.number(uint64(max(d, 0).Microseconds()), known && d >= 0)
}

func (f *CSV) seq(r *Record) {
	f.next()
	if r != nil && r.Seq != 0 {
		f.b = strconv.AppendUint(f.b, r.Seq, 10)
	}
}

func (f *CSV) owner(w *Owner) {
	f.number(uint64(w.UID), w.Known)
	f.text(w.User)
	f.number(uint64(w.PID), w.PID != 0)
	f.text(w.Process)
	f.text(w.Exe)
	f.text(w.Unit)
	f.text(w.Container)
}

// queries returns the questions of a DNS message as "A www.example.com".
func queries(all []Question) string {
	var b bytes.Buffer
	for i, q := range all {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(q.Type)
		b.WriteByte(' ')
		b.WriteString(q.Name)
	}
	return b.String()
}
