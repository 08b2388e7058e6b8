package compact

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tun/flow"
)

// full returns an item of each kind in which every member is set, those of maps and interfaces
// aside.
func full() map[string]Item {
	var handshakes record.Attributed
	var datagram record.AttributedDatagram
	var over record.AttributedFlow
	var finding record.Finding
	var segment handshake.Segment
	for _, v := range []any{&handshakes, &datagram, &over, &finding, &segment} {
		fill(reflect.ValueOf(v).Elem())
	}
	handshakes.Outcome, handshakes.AbortedBy, handshakes.Conflict = handshake.Aborted, handshake.Server, handshake.ConflictSYN
	for i := range handshakes.Rewrites {
		handshakes.Rewrites[i] = handshake.Rewrite{Packet: "ack", What: "df", From: "set", To: "clear", Rule: 2}
	}
	handshakes.Upstream.Error = "ECONNREFUSED"
	datagram.QUIC.Version, over.Datagram.QUIC.Version = "0x6b3343cf", "1"
	d := over.Datagram // of the beginning, the end repeats these members
	over.Datagram = &flow.Datagram{Proto: d.Proto, Client: d.Client, Server: d.Server, QUIC: d.QUIC}
	finding.Kind, finding.Confidence, finding.Family = record.DNSTunnel, record.High, 6
	finding.Leg, finding.Direction, finding.Dst = record.ClientLeg, "both", "2001:db8::/32"
	finding.Proto, finding.DPort = "", 0 // of findings that only the keeper makes
	for i := range finding.Stalls {
		finding.Stalls[i].Src, finding.Stalls[i].Dst = "192.0.2.1", "198.51.100.2"
	}
	for _, o := range []*record.Opening{handshakes.Opening, datagram.Opening} {
		o.Name.Source = "hosts"
	}
	gap := record.Gap{
		From: recordtest.Start, To: recordtest.Start.Add(time.Second), Lost: 3, Reason: record.QueueFull,
	}
	return map[string]Item{
		"handshake": {ID: 1 << 60, Handshake: &handshakes},
		"datagram":  {ID: 7, Datagram: &datagram},
		"flow":      {ID: 7, Flow: &over},
		"finding":   {Finding: &finding},
		"segment":   {Segment: &segment},
		"gap":       {Gap: &gap},
		"frames":    {Frames: &record.Frames{Read: 5, Accounted: 4}},
	}
}

// fill sets all that a value has.
func fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = recordtest.Start
		return
	case *netip.Addr:
		*x = netip.MustParseAddr("2001:db8::1")
		return
	case *netip.AddrPort:
		*x = netip.MustParseAddrPort("[2001:db8::1]:53")
		return
	}
	switch v.Kind() { //nolint:exhaustive // records have no others
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for _, f := range v.Fields() {
			if f.CanSet() {
				fill(f)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(9)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(2)
	}
}

// same compares items. Of an opening, of a packet of captures, and of the log's own members,
// nothing crosses that no record has.
var same = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmpopts.IgnoreUnexported(record.Opening{}),
	cmpopts.IgnoreFields(record.Opening{}, "Untrusted", "Sender"),
	cmpopts.IgnoreFields(tcpdump.Packet{}, "EtherType", "VLANs", "Prefix"),
	cmpopts.IgnoreFields(record.Header{}, "Level", "Msg", "Seq", "RunID", "Host"),
	cmpopts.IgnoreFields(record.Finding{}, "Trailer"),
	cmpopts.IgnoreFields(flow.Flow{}, "Opening"),
	cmpopts.IgnoreFields(flow.Decision{}, "Real"),
	cmpopts.IgnoreFields(flow.Datagram{}, "Opening"),
}

// A new member of a record crosses too, or is named above.
func TestEveryMember(t *testing.T) {
	t.Parallel()
	for name, want := range full() {
		m, err := Append(nil, &want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := Read(m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		clear(m)
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Errorf("%s shares memory with its message (-want +got):\n%s", name, diff)
		}
	}
}

// The host's clock is set back by a day while a handshake lasts: its segments stand as long behind
// its beginning as without that.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	began := time.Now()
	r := recordtest.Handshake(1051, began)
	for i := range r.Segments {
		at := began.Add(time.Duration(i) * time.Millisecond)
		*(*uint64)(unsafe.Pointer(&at)) -= 24 * 60 * 60 << 30 // the seconds of a time that has a monotonic clock
		r.Segments[i].Time = at
	}
	m, err := Append(nil, &Item{Handshake: &record.Attributed{Record: r}})
	if err != nil {
		t.Fatal(err)
	}
	after, err := Read(m)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range after.Handshake.Record.Segments {
		if got, want := s.Time.Sub(after.Handshake.Record.Time), time.Duration(i)*time.Millisecond; got != want {
			t.Errorf("segment %d came %v behind the first, want %v", i, got, want)
		}
	}
}

// A record that crosses is written with the same bytes.
func TestSameRecord(t *testing.T) {
	t.Parallel()
	opening := &record.Opening{
		Owner: &record.Owner{UID: 1000, User: "u", PID: 5, Process: "curl", Exe: "/usr/bin/curl"},
		Name:  &record.Name{Name: "example.com", Source: "dns", Others: []string{"example.net"}},
	}
	for _, r := range []*handshake.Record{recordtest.Handshake(1051, recordtest.Start), recordtest.Refused()} {
		for _, o := range []*record.Opening{nil, new(record.Opening), opening} {
			before := &record.Attributed{Record: r, Opening: o}
			m, err := Append(nil, &Item{Handshake: before})
			if err != nil {
				t.Fatal(err)
			}
			after, err := Read(m)
			if err != nil {
				t.Fatal(err)
			}
			want, got := new(record.Writer).Handshake(nil, 1, before), new(record.Writer).Handshake(nil, 1, after.Handshake)
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	for name, item := range full() {
		m, err := Append(nil, &item)
		if err != nil {
			t.Fatal(err)
		}
		for n := range m {
			if _, err := Read(m[:n]); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: the first %d bytes of %d are a record: %v", name, n, len(m), err)
			}
		}
		if _, err := Read(append(m, 0)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: a byte too many: %v", name, err)
		}
	}
	for name, wrong := range map[string]Item{
		"a mixed family": {Flow: &record.AttributedFlow{Flow: flow.Flow{Started: recordtest.Start, Key: flow.Key{
			Client: netip.MustParseAddrPort("192.0.2.1:1"), Server: netip.MustParseAddrPort("[2001:db8::1]:1"),
		}}}},
		"no address": {Flow: &record.AttributedFlow{Flow: flow.Flow{Started: recordtest.Start}}},
		"no outcome": {Handshake: &record.Attributed{Record: &handshake.Record{Time: recordtest.Start}}},
		"a gap of 0": {Gap: &record.Gap{From: recordtest.Start, To: recordtest.Start, Reason: record.Suspended}},
	} {
		if m, err := Append(nil, &wrong); err == nil {
			t.Errorf("%s is written: %x", name, m)
		}
	}
}

// TestLongLists has the end of lists left out that are longer than any record's.
func TestLongLists(t *testing.T) {
	t.Parallel()
	answers := make([]flow.Record, 2*maxAnswers)
	for i := range answers {
		answers[i].Data = "192.0.2.1"
	}
	answers[1].Data = string(bytes.Repeat([]byte("x"), 100<<10))
	over := record.AttributedFlow{Flow: flow.Flow{
		Started: recordtest.Start, DNS: &flow.DNS{Response: true, Answers: answers},
		Key: flow.Key{Client: netip.MustParseAddrPort("192.0.2.1:1"), Server: netip.MustParseAddrPort("192.0.2.2:53")},
	}}
	m, err := Append(nil, &Item{Flow: &over})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(m)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Flow.DNS.Answers); n < 1000 || n > maxAnswers || len(m) > 2*maxList {
		t.Errorf("%d answers in %d bytes", n, len(m))
	}
}

// FuzzRead has any bytes read. Those that are taken are the only ones for their record, and package
// record writes it as the schema has it.
func FuzzRead(f *testing.F) {
	for _, item := range full() {
		m, err := Append(nil, &item)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m)
	}
	m, err := Append(nil, &Item{Handshake: &record.Attributed{Record: recordtest.Handshake(1051, recordtest.Start)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m)
	w := record.Writer{Run: record.NewRun("host", "boot", recordtest.Start)}
	f.Fuzz(func(t *testing.T, m []byte) {
		item, err := Read(m)
		if err != nil {
			return
		}
		again, err := Append(nil, &item)
		if err != nil || !bytes.Equal(again, m) {
			t.Fatalf("%x is read, and written as %x, %v", m, again, err)
		}
		var line []byte
		switch {
		case item.Handshake != nil:
			line = w.Handshake(nil, 1, item.Handshake)
		case item.Datagram != nil:
			line = w.Datagram(nil, 1, item.Datagram)
		case item.Flow != nil:
			line = w.Flow(nil, 1, item.Flow, 0)
		case item.Finding != nil:
			line = w.Finding(nil, 1, item.Finding)
		default:
			return
		}
		if len(line) > record.MaxLine {
			t.Errorf("a record of %d bytes", len(line))
		}
		if err := recordtest.Validate(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkItem(b *testing.B) {
	item := Item{Handshake: &record.Attributed{
		Record:  recordtest.Handshake(1051, recordtest.Start),
		Opening: &record.Opening{Owner: &record.Owner{UID: 1000, User: "u", PID: 5, Process: "curl", Exe: "/usr/bin/curl"}},
	}}
	m, _ := Append(nil, &item)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(m)))
		for b.Loop() {
			m, _ = Append(m[:0], &item)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(m)))
		for b.Loop() {
			if _, err := Read(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
