// Package routerlog makes logs of routers, for tests: those of two runs with connections and flows
// of all kinds, the first of which was killed.
package routerlog

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// Start is when logs begin.
var Start = time.Date(2026, 11, 23, 7, 50, 0, 0, time.UTC)

// Log is the log of a router.
type Log struct {
	Router string
	Lines  [][]byte // without their ends

	writer record.Writer
	count  int           // records so far
	pace   time.Duration // mean time between them
	random *rand.Rand
	now    time.Time
	open   []record.AttributedFlow // connections and flows that go on
	begins []uint64                // seq of their openings
}

// New returns a log of n records from a time on. key is that of its chain; nil = none.
func New(router string, n int, seed uint64, at time.Time, key []byte) *Log {
	l := &Log{
		Router: router, writer: record.Writer{Chain: record.NewChain(key)}, now: at, pace: time.Second,
		random: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // the same in each run of the test
	}
	l.grow(n, func() {})
	return l
}

// Stream puts a log of n records into a store, some at a time, and returns when it ends. pace is
// the mean time between records.
func Stream(
	tb testing.TB, store fleet.Receiver, router string, n int, at time.Time, pace time.Duration,
) time.Time {
	tb.Helper()
	l := New(router, 1, uint64(len(router)), at, nil)
	l.pace = pace
	id := l.ID()
	put := func() {
		PutAs(tb, store, id, l.Lines)
		l.Lines = l.Lines[:0]
	}
	l.grow(n, func() {
		if len(l.Lines) >= most {
			put()
		}
	})
	put()
	return l.now
}

// grow adds records until there are n; half way the run is killed.
func (l *Log) grow(n int, added func()) {
	l.run(1)
	for l.count < n/2 {
		l.step()
		added()
	}
	l.open, l.begins = nil, nil
	l.run(2)
	for l.count < n {
		l.step()
		added()
	}
}

// most is how many records a batch has.
const most = 1000

func (l *Log) run(boot int) {
	l.writer.Run = record.NewRun(l.Router, fmt.Sprint("boot ", boot), l.now)
}

func (l *Log) seq() uint64 { return uint64(l.count + 1) }

func (l *Log) add(line []byte) {
	l.count++
	l.Lines = append(l.Lines, bytes.TrimSuffix(line, []byte("\n")))
}

// step adds a record or two.
func (l *Log) step() {
	l.now = l.now.Add(time.Duration(l.random.Int64N(int64(2 * l.pace))))
	client, server := l.ends()
	process := []string{"curl", `we"ird\`, "ssh"}[l.random.IntN(3)]
	o := &record.Opening{Owner: &record.Owner{UID: 1000, PID: 4711, Process: process}}
	switch l.random.IntN(8) {
	case 0:
		r := recordtest.Refused()
		r.Time, r.Client, r.Server = l.now, client, server
		l.add(l.writer.Handshake(nil, l.seq(), &record.Attributed{Record: r, Opening: o}))
	case 1, 2:
		d := &flow.Datagram{
			Proto: flow.UDP, Time: l.now, Length: 9, Client: client, Server: server, Opening: o,
		}
		l.begin(record.AttributedFlow{Flow: flow.Flow{
			Key: flow.Key{Client: client, Server: server}, Started: l.now, Datagram: d, Opening: o,
			Outcome: []flow.Outcome{flow.Answered, flow.NoAnswer}[l.random.IntN(2)],
		}})
		l.add(l.writer.Datagram(nil, l.seq(), &record.AttributedDatagram{Datagram: d, Opening: o}))
	case 3, 4, 5:
		r := recordtest.Handshake(client.Port(), l.now)
		r.Outcome, r.Client, r.Server = handshake.Established, client, server
		r.ClientISN = l.random.Uint32()
		l.begin(record.AttributedFlow{Flow: flow.Flow{
			Key:     flow.Key{Client: client, Server: server, ISN: r.ClientISN},
			Started: l.now, Opening: o, End: flow.ClientFIN,
		}})
		l.add(l.writer.Handshake(nil, l.seq(), &record.Attributed{Record: r, Opening: o}))
	default:
		l.end()
	}
}

// ends returns the ends of a connection.
func (l *Log) ends() (client, server netip.AddrPort) {
	from := netip.AddrFrom4([4]byte{192, 0, 2, byte(l.random.IntN(8))})
	to := netip.AddrFrom4([4]byte{198, 51, 100, byte(l.random.IntN(20))})
	if l.random.IntN(4) == 0 {
		from = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", l.random.IntN(8)))
		to = netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%x", l.random.IntN(8)))
	}
	client = netip.AddrPortFrom(from, uint16(1024+l.random.IntN(50000)))
	return client, netip.AddrPortFrom(to, uint16(80+l.random.IntN(4)))
}

func (l *Log) begin(f record.AttributedFlow) {
	l.open, l.begins = append(l.open, f), append(l.begins, l.seq())
}

// end ends one of the connections that go on.
func (l *Log) end() {
	if len(l.open) == 0 {
		return
	}
	i := l.random.IntN(len(l.open))
	f := l.open[i]
	f.Duration, f.Outbound = l.now.Sub(f.Started), uint64(l.random.IntN(1e6))
	l.add(l.writer.Flow(nil, l.seq(), &f, l.begins[i]))
	l.open = append(l.open[:i], l.open[i+1:]...)
	l.begins = append(l.begins[:i], l.begins[i+1:]...)
}

// Text returns the log as a file has it.
func (l *Log) Text() (text []byte) {
	for _, line := range l.Lines {
		text = append(append(text, line...), '\n')
	}
	return text
}

// File writes the log to a file and returns its name.
func (l *Log) File(tb testing.TB) string {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), l.Router+".json")
	if err := os.WriteFile(name, l.Text(), 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

// ID returns the name of the log in stores.
func (l *Log) ID() fleet.LogID {
	return fleet.LogID{Router: l.Router, Log: fleet.LogIDOf(l.Lines[0])}
}

// Put sends some lines of the log to a store.
func (l *Log) Put(tb testing.TB, store fleet.Receiver, lines [][]byte) {
	tb.Helper()
	PutAs(tb, store, l.ID(), lines)
}

// PutAs sends lines to a store as those of a log.
func PutAs(tb testing.TB, store fleet.Receiver, id fleet.LogID, lines [][]byte) {
	tb.Helper()
	fields := fleet.FieldsOf(nil)
	for part := range slices.Chunk(lines, most) {
		b := &fleet.Batch{LogID: id}
		for _, line := range part {
			_, r, ok := fields.Append(nil, line)
			if !ok {
				tb.Fatalf("not a record: %s", line)
			}
			b.Records = append(b.Records, r)
		}
		if err := store.Put(context.Background(), b); err != nil {
			tb.Fatal(err)
		}
	}
}
