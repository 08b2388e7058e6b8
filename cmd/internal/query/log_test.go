package query

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// log is a log that a run of the program writes.
type log struct {
	writer record.Writer
	seq    uint64
	lines  [][]byte
}

// newLog returns the log of a run; "" = of a version that had no numbers of runs.
func newLog(host string, began time.Time) *log {
	l := new(log)
	if host != "" {
		l.writer.Run = record.NewRun(host, "boot", began)
	}
	return l
}

// restart begins another run in the same log.
func (l *log) restart(host string, began time.Time) {
	l.writer.Run = record.NewRun(host, "boot", began)
}

func (l *log) add(line []byte) uint64 {
	l.lines = append(l.lines, line)
	return l.seq
}

func (l *log) next() uint64 {
	l.seq++
	return l.seq
}

func (l *log) text() (text []byte) {
	for _, line := range l.lines {
		text = append(text, line...)
	}
	return text
}

// file writes lines of the log and returns the file's name.
func file(tb testing.TB, lines [][]byte) string {
	tb.Helper()
	f, err := os.CreateTemp(tb.TempDir(), "*.json")
	if err != nil {
		tb.Fatal(err)
	}
	for _, line := range lines {
		if _, err := f.Write(line); err != nil {
			tb.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return f.Name()
}

// connection is a TCP connection of a test, its beginning in seconds after start.
type connection struct {
	at             int
	client, server string
	outcome        handshake.Outcome
	name, process  string
	deny           bool
}

func (c *connection) opening() *record.Opening {
	o := new(record.Opening)
	if c.process != "" {
		o.Owner = &record.Owner{UID: 1000, User: "alice", PID: 4711, Process: c.process}
	}
	if c.name != "" {
		o.Name = &record.Name{Name: c.name, Source: "dns"}
	}
	return o
}

func (c *connection) time() time.Time { return start.Add(time.Duration(c.at) * time.Second) }

// handshake adds the record of an attempt and returns its number.
func (l *log) handshake(c *connection) uint64 {
	decision := &flow.Decision{Rule: "default"}
	if c.outcome == handshake.Denied {
		decision = &flow.Decision{Deny: true, Rule: "egress.deny", Reason: "out of bounds"}
	}
	return l.add(l.writer.Handshake(nil, l.next(), &record.Attributed{
		Record: &handshake.Record{
			Time: c.time(), Outcome: c.outcome, ClientISN: uint32(c.at),
			Client: netip.MustParseAddrPort(c.client), Server: netip.MustParseAddrPort(c.server),
			SYNACKDelay: 2 * time.Millisecond, ACKDelay: -1,
			Upstream: &flow.Upstream{Decision: decision},
		},
		Opening: c.opening(),
	}))
}

// flow adds the end of a connection, or of the datagrams that d has begun.
func (l *log) flow(c *connection, seq uint64, seconds int, bytes uint64, d *flow.Datagram) {
	f := flow.Flow{
		Key:     flow.Key{Client: netip.MustParseAddrPort(c.client), Server: netip.MustParseAddrPort(c.server), ISN: uint32(c.at)},
		Started: c.time(), Duration: time.Duration(seconds) * time.Second, Outbound: bytes, End: flow.ClientFIN,
		Opening: c.opening(), Datagram: d, Outcome: flow.Answered,
	}
	if d != nil {
		d.Opening = c.opening()
	}
	l.add(l.writer.Flow(nil, l.next(), &record.AttributedFlow{Flow: f}, seq))
}

// datagram adds the record of a first datagram; a query where one is given.
func (l *log) datagram(c *connection, query string) (*flow.Datagram, uint64) {
	d := &flow.Datagram{
		Proto: flow.UDP, Time: c.time(), Length: 9, Decision: &flow.Decision{Rule: "default"},
		Client: netip.MustParseAddrPort(c.client), Server: netip.MustParseAddrPort(c.server),
	}
	if c.deny {
		d.Denied, d.Decision = true, &flow.Decision{Deny: true, Rule: "egress.deny", Reason: "out of bounds"}
	}
	if query != "" {
		d.DNS = &flow.DNS{Queries: []flow.Question{{Name: query, Type: 16}}}
	}
	return d, l.add(l.writer.Datagram(nil, l.next(), &record.AttributedDatagram{Datagram: d, Opening: c.opening()}))
}

func (l *log) end(at int) {
	l.add(l.writer.End(nil, l.next(), &record.End{Header: record.Header{Time: start.Add(time.Duration(at) * time.Second)}}))
}

// mixture is a log with one of each.
func mixture() *log {
	l := newLog("gate", start)
	web := &connection{at: 0, client: "192.0.2.1:1000", server: "203.0.113.2:443", outcome: "established", name: "www.example.com", process: "curl"}
	open := &connection{at: 1, client: "192.0.2.1:1001", server: "203.0.113.3:22", outcome: "established", process: "ssh"}
	closed := &connection{at: 2, client: "192.0.2.1:1002", server: "203.0.113.9:8443", outcome: "refused"}
	barred := &connection{at: 3, client: "192.0.2.1:1003", server: "169.254.169.254:80", outcome: "denied", process: "curl"}
	dns := &connection{at: 4, client: "192.0.2.1:1004", server: "203.0.113.53:53"}
	barredToo := &connection{at: 5, client: "192.0.2.1:1005", server: "169.254.169.254:53", deny: true}
	silent := &connection{at: 6, client: "192.0.2.1:1006", server: "203.0.113.4:9"}
	first := l.handshake(web)
	l.handshake(open)
	l.handshake(closed)
	l.handshake(barred)
	query, number := l.datagram(dns, "secret.example.com")
	l.flow(dns, number, 1, 60, query)
	l.datagram(barredToo, "")
	l.datagram(silent, "")
	l.flow(web, first, 10, 5000, nil)
	return l
}

// many is a log of n connections, each with as many bytes as the number of its record, and its
// lines as they may come about: a flow some records behind its opening.
func many(random *rand.Rand, n int) *log {
	l := newLog("gate", start)
	type open struct {
		c   *connection
		seq uint64
		d   *flow.Datagram
	}
	var all []open
	end := func(i int) {
		o := all[i]
		all = append(all[:i], all[i+1:]...)
		l.flow(o.c, o.seq, 1, o.seq, o.d)
	}
	for i := range n {
		c := &connection{
			at: i, client: fmt.Sprintf("192.0.2.%d:%d", 1+i%5, 1000+i%3), server: fmt.Sprintf("203.0.113.1:%d", 80+i%2),
			outcome: "established",
		}
		o := open{c: c}
		if i%3 == 0 {
			o.d, o.seq = l.datagram(c, "")
		} else {
			o.seq = l.handshake(c)
		}
		all = append(all, o)
		for len(all) > 0 && random.IntN(2) == 0 {
			end(random.IntN(len(all)))
		}
	}
	for len(all) > 0 {
		end(random.IntN(len(all)))
	}
	return l
}
