//go:build linux

package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
	"syntap/cmd/internal/record/recordtest"
	"syntap/cmd/internal/ring"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

// disk is a place for a log that takes bytes, fails, or holds a write up.
type disk struct {
	mu   sync.Mutex
	text bytes.Buffer
	full bool
	held sync.Mutex // by those who hold writes up
}

func (d *disk) Write(b []byte) (int, error) {
	d.held.Lock()
	d.held.Unlock() //nolint:staticcheck // it waits
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return 0, unix.ENOSPC
	}
	return d.text.Write(b)
}

func (d *disk) set(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// lines returns the records of the log by their type.
func (d *disk) lines() (all []map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for line := range bytes.Lines(d.text.Bytes()) {
		var m map[string]any
		if json.Unmarshal(line, &m) == nil {
			all = append(all, m)
		}
	}
	return all
}

// keeper is a log with its writer, which routers come to.
type keeper struct {
	t    testing.TB
	disk *disk
	log  *audit.Log
	stop func() error
}

func newKeeper(t testing.TB, c config.Sink, o audit.LogOptions) *keeper {
	t.Helper()
	k := &keeper{t: t, disk: new(disk)}
	sink, err := audit.Open(c, audit.Options{Stdout: k.disk})
	if err != nil {
		t.Fatal(err)
	}
	o.Sinks = audit.Options{Stdout: k.disk}
	k.log = audit.NewLog([]*audit.Sink{sink}, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.log.Run(ctx) }()
	k.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = k.stop() })
	return k
}

var toJSON = config.Sink{Format: config.JSON, Path: "-"}

// router is a Log with its keeper's Writer.
type router struct {
	*Log
	writer *Writer
	end    *ring.End

	mu     sync.Mutex
	passed []uint16 // client ports

	stop   func() error // ends the router's log in order
	done   chan error   // of the router's log
	result chan error   // of the Writer
}

func sizes() ring.Sizes { return ring.Sizes{ToKeeper: 1 << 16, FromKeeper: 1 << 13, Waiting: 1 << 20} }

func (k *keeper) router(s ring.Sizes, o Options) *router {
	k.t.Helper()
	ours, files, err := ring.New(s)
	if err != nil {
		k.t.Fatal(err)
	}
	theirs, err := ring.Open(files, s)
	if err != nil {
		k.t.Fatal(err)
	}
	if o.Limit == 0 {
		o.Limit = 100
	}
	r := &router{Log: New(theirs), end: theirs, result: make(chan error, 1)}
	r.writer = NewWriter(k.log, ours, o)
	r.OnWritten(func(k flow.Key, _ uint32, _ *record.Opening) { r.pass(k.Client.Port()) })
	r.OnDatagramWritten(func(d *flow.Datagram) { r.pass(d.Client.Port()) })
	go func() { r.result <- r.writer.Run() }()
	ctx, cancel := context.WithCancel(context.Background())
	r.done = make(chan error, 1)
	go func() { r.done <- r.Run(ctx) }()
	r.stop = func() error { cancel(); return <-r.done }
	k.t.Cleanup(func() { cancel(); _ = r.writer.Close() })
	return r
}

func (r *router) pass(port uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed = append(r.passed, port)
}

func (r *router) waitPassed(t testing.TB, want ...uint16) {
	t.Helper()
	tuntest.Wait(t, "connections to pass", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Equal(r.passed, want)
	})
}

func opened(port uint16) *record.Attributed {
	return &record.Attributed{
		Record: recordtest.Handshake(port, recordtest.Start),
		Opening: &record.Opening{
			Owner: &record.Owner{UID: 1000, User: "u", PID: 5, Process: "curl"},
			Name:  &record.Name{Name: "example.com", Source: "dns"},
		},
	}
}

func closed(r *record.Attributed) record.AttributedFlow {
	return record.AttributedFlow{Flow: flow.Flow{
		Key: r.Key(), ServerISN: r.ServerISN, Started: r.Time, Duration: time.Second, Outbound: 100,
		End: flow.ClientFIN, Opening: r.Opening,
	}}
}

func begun(port uint16) *record.AttributedDatagram {
	d := &flow.Datagram{
		Proto: flow.UDP, Client: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port),
		Server: netip.MustParseAddrPort("198.51.100.2:53"), Time: recordtest.Start, Length: 30,
		Upstream: netip.MustParseAddrPort("198.51.100.2:53"),
		DNS:      &flow.DNS{Queries: []flow.Question{{Name: "example.com", Type: 1}}},
	}
	o := new(record.Opening)
	d.Opening = o
	return &record.AttributedDatagram{Datagram: d, Opening: o}
}

func answered(d *record.AttributedDatagram) record.AttributedFlow {
	return record.AttributedFlow{Flow: flow.Flow{
		Key: flow.Key{Client: d.Client, Server: d.Server}, Started: d.Time, Datagram: d.Datagram,
		Outcome: flow.Answered, OutboundPackets: 1, InboundPackets: 1,
	}}
}

// The log of a router that another process writes is byte for byte the one that it would write
// itself.
func TestSameLog(t *testing.T) {
	t.Parallel()
	type log interface {
		Record(*record.Attributed)
		Datagram(*record.AttributedDatagram)
		Flow(record.AttributedFlow)
		Finding(*record.Finding)
	}
	// Each step waits until the log has it, so that the order is one.
	write := func(k *keeper, l log) {
		n := 0
		step := func(f func()) {
			f()
			n++
			tuntest.Wait(t, "a record", func() bool { return len(k.disk.lines()) == n })
		}
		a, b, d := opened(1), opened(2), begun(3)
		step(func() { l.Record(a) })
		step(func() { l.Record(b) })
		step(func() { l.Record(&record.Attributed{Record: recordtest.Refused(), Opening: new(record.Opening)}) })
		step(func() { l.Datagram(d) })
		step(func() { l.Flow(answered(d)) })
		step(func() { l.Flow(closed(b)) })
		step(func() { l.Flow(closed(a)) })
		step(func() {
			l.Finding(&record.Finding{
				Header: record.Header{Time: recordtest.Start}, Kind: record.BlackHole, Confidence: record.High,
				Family: 4, Dst: "198.51.100.2", Direction: "up", Passes: 1400, Fails: 1500, Flows: 1,
			})
		})
	}
	local := newKeeper(t, toJSON, audit.LogOptions{})
	write(local, local.log)
	there := newKeeper(t, toJSON, audit.LogOptions{})
	write(there, there.router(sizes(), Options{}))
	if diff := cmp.Diff(local.disk.text.String(), there.disk.text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for line := range bytes.Lines(there.disk.text.Bytes()) {
		if err := recordtest.Validate(bytes.TrimSpace(line)); err != nil {
			t.Error(err)
		}
	}
}

// Payload waits until the log has the record, and new connections while it cannot be written.
func TestSuspend(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, toJSON, audit.LogOptions{Queue: 4, Reserve: 100})
	r := k.router(sizes(), Options{})
	r.Record(opened(1))
	r.waitPassed(t, 1)
	if a := r.Admission(time.Now()); a != flow.Admit {
		t.Errorf("admission %v", a)
	}
	k.disk.set(true)
	r.Record(opened(2))
	tuntest.Wait(t, "new connections to be kept out", func() bool { return r.Admission(time.Now()) == flow.Wait })
	if a := r.DatagramAdmission(time.Now()); a != flow.Wait {
		t.Errorf("admission of datagrams: %v", a)
	}
	if a := r.Admission(time.Now().Add(time.Minute)); a != flow.Refuse {
		t.Errorf("admission after a minute: %v", a)
	}
	r.Record(opened(3)) // had begun
	r.waitPassed(t, 1)
	k.disk.set(false)
	r.waitPassed(t, 1, 2, 3)
	tuntest.Wait(t, "new connections", func() bool { return r.Admission(time.Now()) == flow.Admit })
	tuntest.Wait(t, "the gap", func() bool {
		all := k.disk.lines()
		last := all[len(all)-1]
		return last["msg"] == "gap" && last["reason"] == "suspended" && last["refused"].(float64) >= 3
	})
}

// With on_full: count no connection waits for a disk.
func TestCount(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, config.Sink{Format: config.JSON, Path: "-", OnFull: config.Count}, audit.LogOptions{})
	r := k.router(sizes(), Options{})
	k.disk.set(true)
	r.Record(opened(1))
	r.Datagram(begun(2))
	r.waitPassed(t, 1, 2)
	if a := r.Admission(time.Now()); a != flow.Admit {
		t.Errorf("admission %v", a)
	}
	tuntest.Wait(t, "the losses", func() bool { return r.Stats().Lost[record.WriteError] == 2 })
}

// An admitted connection finds room for its record: those on their way and those to come count.
func TestRoom(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, toJSON, audit.LogOptions{Queue: 4, Reserve: 4})
	r := k.router(sizes(), Options{})
	open := 7
	r.CountOpen(func() int { return open })
	tuntest.Wait(t, "room", func() bool { return r.Admission(time.Now()) == flow.Admit })
	if open = 8; r.Admission(time.Now()) == flow.Admit {
		t.Error("a ninth connection is admitted to a log with room for eight records")
	}
}

// A router that has stood still for longer than a keeper may, before it has told it of a record,
// keeps no connection out.
func TestStoodStill(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, toJSON, audit.LogOptions{})
	ours, files, err := ring.New(sizes())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ring.Open(files, sizes())
	if err != nil {
		t.Fatal(err)
	}
	NewWriter(k.log, ours, Options{Limit: 100}) // that takes nothing
	l := New(theirs)
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	l.CountOpen(func() int { return 0 })
	now, admitted := time.Now(), 0
	for range 100 { // this process may stand still, too
		l.Flow(answered(begun(3)))
		if now = now.Add(2 * slow); l.Admission(now) == flow.Admit {
			admitted++
		}
	}
	if admitted == 0 {
		t.Error("no connection is admitted behind a record of which the keeper does not know")
	}
}

// A keeper that reads nothing keeps new connections out, loses nothing that fits, and counts the
// rest.
func TestSlowKeeper(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, toJSON, audit.LogOptions{})
	s := ring.Sizes{ToKeeper: 1 << 12, FromKeeper: 1 << 12, Waiting: 1 << 13}
	ours, files, err := ring.New(s)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ring.Open(files, s)
	if err != nil {
		t.Fatal(err)
	}
	l, w := New(theirs), NewWriter(k.log, ours, Options{Limit: 100})
	running, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(running) }()
	l.Record(opened(1))
	if a := l.Admission(time.Now()); a != flow.Admit {
		t.Errorf("admission at once: %v", a)
	}
	if a := l.Admission(time.Now().Add(2 * slow)); a != flow.Wait {
		t.Errorf("admission of a keeper that reads nothing: %v", a)
	}
	sent := uint64(1)
	for l.Stats().Lost[record.QueueFull] < 3 {
		sent++
		l.Record(opened(uint16(sent)))
	}
	result := make(chan error, 1)
	go func() { result <- w.Run() }()
	tuntest.Wait(t, "room", func() bool { return l.end.Waiting() == 0 })
	l.Record(opened(9999)) // losses are announced before it
	tuntest.Wait(t, "all records and losses", func() bool {
		records, lost := 0, 0.0
		for _, line := range k.disk.lines() {
			switch line["msg"] {
			case "handshake":
				records++
			case "gap":
				lost += line["lost"].(float64)
			}
		}
		return records == int(sent+1-3) && lost == 3
	})
	if lost := l.Stats().Lost[record.QueueFull]; lost != 3 {
		t.Errorf("%d records are counted as lost once 3 are announced", lost)
	}
	stop()
	if err := errors.Join(<-done, <-result); err != nil {
		t.Error(err)
	}
}

// A router that ends leaves a log that the next one continues, without a gap in its numbers.
func TestNextRouter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	k := newKeeper(t, config.Sink{Format: config.JSON, Path: path, Chain: true}, audit.LogOptions{})
	before := k.router(sizes(), Options{})
	a := opened(1)
	before.Record(a)
	before.waitPassed(t, 1)
	_ = before.end.Close() // as when the process ends
	if err := <-before.result; err != nil {
		t.Error(err)
	}
	after := k.router(sizes(), Options{})
	after.Record(opened(2))
	after.waitPassed(t, 2)
	after.CountFrames(func() record.Frames { return record.Frames{Read: 6, Accounted: 6} })
	if err := errors.Join(after.stop(), <-after.result, k.stop()); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n != 3 {
		t.Errorf("%d records, want two and the end:\n%s", n, text)
	}
	for want := range uint64(3) {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if seq, _ := record.SeqOf(line); seq != want+1 {
			t.Errorf("record %d has the number %d", want+1, seq)
		}
		text = rest
		if want == 2 && !bytes.Contains(line, []byte(`"frames":{"read":6,"accounted":6}`)) {
			t.Errorf("the end has no frames: %s", line)
		}
	}
}

// The keeper reloads its own sinks, and says so.
func TestReload(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, toJSON, audit.LogOptions{})
	path := filepath.Join(t.TempDir(), "other")
	refuse := hint.Fail(errors.New("not this one"), "take another")
	var good atomic.Bool
	r := k.router(sizes(), Options{Reload: func() error {
		if !good.Load() {
			return refuse
		}
		return k.log.Reload(t.Context(), []config.Sink{{Format: config.Modern, Path: path, Order: config.ByPacket}})
	}})
	if !r.NamesOwners() {
		t.Error("a JSON log names no owners")
	}
	if err := r.Reload(t.Context()); err == nil || err.Error() != refuse.Error() || hint.Of(err) != "take another" {
		t.Errorf("a reload that fails: %v", err)
	}
	good.Store(true)
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.NamesOwners() {
		t.Error("a text log names owners")
	}
	if a := r.Admission(time.Now()); a != flow.Admit {
		t.Errorf("admission after a reload: %v", a)
	}
	a := opened(1)
	for _, s := range a.Segments {
		r.Segment(a.Key(), s)
	}
	r.Record(a)
	r.waitPassed(t, 1)
	text, err := os.ReadFile(path)
	if err != nil || bytes.Count(text, []byte("\n")) != 3 {
		t.Errorf("the other log: %q, %v", text, err)
	}
}

// TestLimit has a router open more than its keeper has expected, and more than that once the keeper
// expects more. The end of each record that the keeper has kept names its number and its owner.
func TestLimit(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, toJSON, audit.LogOptions{})
	r := k.router(sizes(), Options{Limit: 1})
	open := func(ports ...uint16) (all []*record.Attributed) {
		r.passed = nil
		for _, port := range ports {
			all = append(all, opened(port))
			r.Record(all[len(all)-1])
		}
		r.waitPassed(t, ports...)
		return all
	}
	all := open(1, 2)
	r.writer.SetLimit(3)
	all = append(all, open(3, 4)...)
	for _, o := range all {
		r.Flow(closed(o))
	}
	tuntest.Wait(t, "the ends", func() bool { return len(k.disk.lines()) == 8 })
	for i, line := range k.disk.lines()[4:] {
		if kept := line["handshake_seq"] != nil && line["uid"] != nil; kept != (i != 1) {
			t.Errorf("end %d: %v", i+1, line)
		}
	}
}

// TestLies has the writer meet messages that no router sends. Each ends it, and is on record.
func TestLies(t *testing.T) {
	t.Parallel()
	send := func(t *testing.T, r *router, items ...compact.Item) {
		for _, i := range items {
			m, err := compact.Append(nil, &i)
			if err != nil {
				t.Fatal(err)
			}
			r.end.Send(m)
		}
	}
	a, b, d := opened(1), opened(2), begun(3)
	end := func(r *record.Attributed) *record.AttributedFlow { f := closed(r); return &f }
	over := answered(d)
	wrong := *end(a)
	wrong.ISN++
	for name, lie := range map[string][]compact.Item{
		"an id twice":                      {{ID: 5, Handshake: a}, {ID: 5, Handshake: b}},
		"an id that goes back":             {{ID: 5, Handshake: a}, {ID: 4, Datagram: d}},
		"an open connection without an id": {{Handshake: a}},
		"a refused one with an id":         {{ID: 5, Handshake: &record.Attributed{Record: recordtest.Refused()}}},
		"an end twice":                     {{ID: 5, Handshake: a}, {ID: 5, Flow: end(a)}, {ID: 5, Flow: end(a)}},
		"an end without a beginning":       {{ID: 5, Flow: end(a)}},
		"the end of another connection":    {{ID: 5, Handshake: a}, {ID: 5, Flow: end(b)}},
		"the end with another number":      {{ID: 5, Handshake: a}, {ID: 5, Flow: &wrong}},
		"the end of another protocol's":    {{ID: 5, Handshake: a}, {ID: 5, Flow: &over}},
		"no record":                        nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeper(t, toJSON, audit.LogOptions{})
			r := k.router(sizes(), Options{Reload: func() error { select {} }})
			if lie == nil {
				r.end.Send([]byte("no record"))
			}
			send(t, r, lie...)
			if err := <-r.result; !errors.Is(err, compact.ErrInvalid) {
				t.Errorf("the writer ends with %v", err)
			}
			tuntest.Wait(t, "the finding", func() bool {
				return slices.ContainsFunc(k.disk.lines(), func(line map[string]any) bool {
					return line["kind"] == string(record.InvalidRecord)
				})
			})
			if err := <-r.done; !errors.Is(err, ErrKeeper) {
				t.Errorf("the router's log ends with %v", err)
			}
			if n := k.router(sizes(), Options{}).Stats().Found[audit.Found{Kind: record.InvalidRecord}]; n != 1 {
				t.Errorf("the next router counts %d findings, want 1", n)
			}
		})
	}
}

// FuzzWriter has the writer take any messages, in any order. Its log stays one that the schema has.
func FuzzWriter(f *testing.F) {
	a, d := opened(1), begun(3)
	end := closed(a)
	var all []byte
	for _, i := range []compact.Item{{ID: 5, Handshake: a}, {ID: 6, Datagram: d}, {ID: 5, Flow: &end}} {
		m, err := compact.Append(nil, &i)
		if err != nil {
			f.Fatal(err)
		}
		all = append(append(all, byte(len(m)>>8), byte(len(m))), m...)
	}
	f.Add(all)
	f.Add([]byte{0, 1, askReload, 0, 1, askReload})
	formats := []config.Format{config.JSON, config.Modern, config.PCAPNG, config.OCSF, config.ECS, config.Zeek}
	f.Fuzz(func(t *testing.T, messages []byte) {
		var text bytes.Buffer
		var sinks []*audit.Sink
		for _, format := range formats {
			o := audit.Options{Stdout: new(bytes.Buffer)}
			if format == config.JSON {
				o.Stdout = &text
			}
			s, err := audit.Open(config.Sink{Format: format, Path: "-"}, o)
			if err != nil {
				t.Fatal(err)
			}
			sinks = append(sinks, s)
		}
		log := audit.NewLog(sinks, audit.LogOptions{Queue: 100})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- log.Run(ctx) }()
		s := sizes()
		ours, files, err := ring.New(s)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := ring.Open(files, s)
		if err != nil {
			t.Fatal(err)
		}
		w := NewWriter(log, ours, Options{Limit: 3, Reload: func() error { return nil }})
		for len(messages) > 2 {
			n := int(messages[0])<<8 | int(messages[1])
			messages = messages[2:]
			n = min(n, len(messages))
			if n > 0 {
				theirs.Send(messages[:n])
			}
			messages = messages[n:]
		}
		if err := theirs.Close(); err != nil {
			t.Error(err)
		}
		_ = w.Run()
		stop()
		<-done
		for line := range bytes.Lines(text.Bytes()) {
			if err := recordtest.Validate(bytes.TrimSpace(line)); err != nil {
				t.Error(err)
			}
		}
	})
}

// BenchmarkLog has the price of a connection's two records across the boundary, beside that of the
// same log in one process. Each connection waits for its record. cpu-ns is that of both sides.
func BenchmarkLog(b *testing.B) {
	sink := func(b *testing.B) config.Sink {
		return config.Sink{Format: config.JSON, Path: filepath.Join(b.TempDir(), "log"), Chain: true, MaxSize: 64 << 20, MaxFiles: 2}
	}
	type log interface {
		Record(*record.Attributed)
		Flow(record.AttributedFlow)
		OnWritten(func(flow.Key, uint32, *record.Opening))
	}
	measure := func(b *testing.B, l log, together int) {
		passed := make(chan struct{}, together)
		l.OnWritten(func(flow.Key, uint32, *record.Opening) { passed <- struct{}{} })
		h := recordtest.Handshake(1, recordtest.Start)
		owner := opened(1).Opening
		before, waiting := cpu(b), 0
		for b.Loop() {
			if waiting == together {
				<-passed
				waiting--
			}
			r := &record.Attributed{Record: h, Opening: &record.Opening{Owner: owner.Owner, Name: owner.Name}}
			l.Record(r)
			l.Flow(closed(r))
			waiting++
		}
		for ; waiting > 0; waiting-- {
			<-passed
		}
		b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/connection")
	}
	for _, c := range []struct {
		name     string
		together int
	}{{"alone", 1}, {"32 together", 32}} {
		b.Run(c.name+"/here", func(b *testing.B) {
			k := newKeeper(b, sink(b), audit.LogOptions{Reserve: 1 << 16})
			measure(b, k.log, c.together)
		})
		b.Run(c.name+"/there", func(b *testing.B) {
			k := newKeeper(b, sink(b), audit.LogOptions{Reserve: 1 << 16})
			s := ring.Sizes{ToKeeper: 1 << 20, FromKeeper: 1 << 18, Waiting: 64 << 20}
			measure(b, k.router(s, Options{Limit: 1 << 16}), c.together)
		})
	}
}

// cpu returns the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
