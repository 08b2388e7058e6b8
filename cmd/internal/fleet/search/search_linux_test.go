package search

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/cmd/internal/query"
	"syntap/tun/tuntest"
)

var filters = []string{
	"", "src:192.0.2.3", "src:192.0.2.0/30,2001:db8::2", "dst:2001:db8:1::/126 port:81-82", "addr:198.51.100.7",
	"refused", "outcome:refused,no_reply", "established", "answered udp", "!established", "!refused !udp", "proto:tcp",
	"open", "state:unknown", "process:curl", `process:"we*"`, "!process:ssh", "bytes:>500KB", "curl",
	"since:2026-11-23T07:55:00Z", "until:2026-11-23T07:55:00Z", "src:192.0.2.0/24 since:2026-11-23T07:53:00Z until:2026-11-23T07:58:00Z",
}

// TestSameAsFiles: each form of output, for each kind of filter, is that of the router's own log,
// although the store has records twice.
func TestSameAsFiles(t *testing.T) {
	t.Parallel()
	s := startStore(t)
	logs := []*routerlog.Log{routerlog.New("gate9", 300, 1, routerlog.Start, nil), routerlog.New("gate10", 400, 2, routerlog.Start, nil)}
	var files []string
	for _, l := range logs {
		files = append(files, l.File(t))
		l.Put(t, s.Engine, l.Lines)
		l.Put(t, s.Engine, l.Lines[100:250])
		l.Put(t, s.Engine, l.Lines[200:201])
	}
	waitFor(t, s, 300+400+2*151)
	all, keys := query.Formats(), [][]string{{"dst"}, {"process", "port"}, {"outcome"}, {"state", "proto"}}
	for n, text := range filters {
		formats := []string{"line", "json", all[n%len(all)]}
		if text == "" {
			formats = all
		}
		for _, format := range formats {
			q := query.Query{Format: query.Format(format), Filter: parse(t, text)}
			for i, l := range logs {
				if got, want := searched(t, s, q, l.Router), filed(t, q, files[i]); got != want {
					t.Errorf("%s of %s, %q: %s", format, l.Router, text, firstDifference(got, want))
				}
			}
		}
		q := query.Query{Format: query.JSON, Filter: parse(t, text), Top: keys[n%len(keys)]}
		for i, l := range logs {
			if got, want := searched(t, s, q, l.Router), filed(t, q, files[i]); got != want {
				t.Errorf("top %s of %s, %q: %s", q.Top, l.Router, text, firstDifference(got, want))
			}
		}
	}
	q := query.Query{Format: query.Line, NewSince: routerlog.Start.Add(5 * time.Minute)}
	for i, l := range logs {
		if got, want := searched(t, s, q, l.Router), filed(t, q, files[i]); got != want {
			t.Errorf("new of %s: %s", l.Router, firstDifference(got, want))
		}
	}
	sameTogether(t, s, logs, files)
}

// sameTogether compares the output for two routers with that for both files.
func sameTogether(t *testing.T, s Store, logs []*routerlog.Log, files []string) {
	t.Helper()
	q := query.Query{Format: query.JSON}
	both := strings.SplitAfter(searched(t, s, q, ""), "\n")
	for _, l := range logs {
		var own strings.Builder
		for _, line := range both {
			if strings.Contains(line, `"host":"`+l.Router+`"`) {
				own.WriteString(line)
			}
		}
		if got, want := own.String(), string(l.Text()); got != want {
			t.Errorf("JSON of %s among others: %s", l.Router, firstDifference(got, want))
		}
	}
	for _, format := range []query.Format{query.Line, query.CSV} {
		q := query.Query{Format: format}
		got, want := searched(t, s, q, ""), filed(t, q, files...)
		if got, want := sorted(got), sorted(want); got != want {
			t.Errorf("%s of both: %s", format, firstDifference(got, want))
		}
		if format == query.CSV && !slices.IsSorted(starts(got)) {
			t.Errorf("%s of both is not in the order of begins", format)
		}
	}
	q = query.Query{Format: query.Line, Top: []string{"dst", "process"}}
	if got, want := searched(t, s, q, ""), filed(t, q, files...); got != want {
		t.Errorf("top of both: %s", firstDifference(got, want))
	}
}

// TestPlain: a store that is asked for numbers alone gives the same.
func TestPlain(t *testing.T) {
	t.Parallel()
	s := startStore(t)
	logs := []*routerlog.Log{
		routerlog.New("gate1", 200, 1, routerlog.Start, nil), routerlog.New("gate2", 100, 2, routerlog.Start, nil),
	}
	var files []string
	for _, l := range logs {
		files = append(files, l.File(t))
		l.Put(t, s.Engine, l.Lines)
	}
	gate1 := logs[0]
	gate1.Put(t, s.Engine, gate1.Lines[50:70])
	waitFor(t, s, 320)
	s.Engine = Plain{s.Engine}
	for _, q := range []query.Query{
		{Format: query.JSON},
		{Format: query.Line, Filter: parse(t, "src:192.0.2.3")},
		{Format: query.CSV, Filter: parse(t, "refused")},
		{Format: query.JSON, Top: []string{"dst"}},
	} {
		for i, l := range logs {
			if got, want := searched(t, s, q, l.Router), filed(t, q, files[i]); got != want {
				t.Errorf("%s of %s: %s", q.Format, l.Router, firstDifference(got, want))
			}
		}
	}
	latest, err := s.Latest(t.Context(), "gate1", routerlog.Start)
	if err != nil || len(latest) != 1 {
		t.Fatalf("latest: %+v, %v", latest, err)
	}
	counts, err := s.CountSpans(t.Context(), latest)
	if n := counts[gate1.ID()]; err != nil || n.Count != 220 || n.Unique != 200 {
		t.Errorf("counts: %+v, %v", n, err)
	}
}

// TestManyRouters: a thousand routers of a few records cost few questions, and each record comes
// once and in order.
func TestManyRouters(t *testing.T) {
	t.Parallel()
	s := startStore(t)
	routers, each := 100, 60
	if os.Getenv("SYNTAP_SOAK") != "" {
		routers, each = 1000, 300
	}
	var total int
	want := make(map[string]string)
	for i := range routers {
		l := routerlog.New(fmt.Sprintf("r%d", i), each, uint64(i), routerlog.Start, nil)
		l.Put(t, s.Engine, l.Lines)
		if i%10 == 0 {
			l.Put(t, s.Engine, l.Lines[each/2:])
			total += len(l.Lines) - each/2
		}
		total += len(l.Lines)
		want[l.Router] = string(l.Text())
	}
	waitFor(t, s, total)
	began := time.Now()
	text := searched(t, s, query.Query{Format: query.JSON}, "")
	t.Logf("%d records of %d routers: %v", strings.Count(text, "\n"), routers, time.Since(began))
	got := make(map[string]*strings.Builder)
	for line := range strings.Lines(text) {
		_, host, _ := strings.Cut(line, `"host":"`)
		host, _, _ = strings.Cut(host, `"`)
		if got[host] == nil {
			got[host] = new(strings.Builder)
		}
		got[host].WriteString(line)
	}
	for router, text := range want {
		if got[router] == nil || got[router].String() != text {
			t.Fatalf("%s: its records are not those of its log", router)
		}
	}
}

// TestHostileStore: records that no router writes are named and passed over, whatever they are.
func TestHostileStore(t *testing.T) {
	t.Parallel()
	s := startStore(t)
	l := routerlog.New("gate", 50, 3, routerlog.Start, nil)
	l.Put(t, s.Engine, l.Lines)
	put := func(id fleet.LogID, seq uint64, line string) {
		t.Helper()
		b := &fleet.Batch{LogID: id, Records: []fleet.Record{{Seq: seq, Time: routerlog.Start, Line: []byte(line)}}}
		if err := s.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	put(l.ID(), 51, "\x1b]0;PWN\x07")
	put(l.ID(), 52, string(l.Lines[0]))
	put(l.ID(), 53, string(l.Lines[0])+"\n"+string(l.Lines[1]))
	put(l.ID(), 9e18, `{"time":"2026-11-23T07:50:00Z","msg":"handshake","seq":9000000000000000000}`)
	put(fleet.LogID{Router: "evil\"} or *\x1b[31m", Log: "x"}, 7, `{"time":"never","msg":"handshake","seq":7}`)
	put(l.ID(), 9, `{"time":"2026-11-23T07:50:00Z","msg":"handshake","seq":9}`)
	insert(t, s, `{"_msg":"x","_time":"2026-11-23T07:50:00Z","router":"gate","log":"`+l.ID().Log+`","seq":"50.5"}`)
	insert(t, s, `{"_msg":"x","_time":"2026-11-23T07:50:00Z","router":"gate","seq":"4"}`)
	waitFor(t, s, 57)
	var out bytes.Buffer
	var notices []string
	reader := New([]Store{s}, "", func(text string) { notices = append(notices, text) })
	if err := query.Search(t.Context(), query.Query{Format: query.JSON}, reader, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 51 {
		t.Errorf("%d records, want the 50 of the router and the far one", n)
	}
	if all := strings.Join(notices, "\n"); !strings.Contains(all, "seq 51 is not a record") ||
		!strings.Contains(all, "different records with the same number: 2") || len(notices) != 5 {
		t.Errorf("notices = %q", notices)
	}
}

// TestTooLarge: an answer that is larger than it may be is asked for in part.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := startStore(t)
	l := routerlog.New("gate", 400, 4, routerlog.Start, nil)
	l.Put(t, s.Engine, l.Lines)
	waitFor(t, s, 400)
	var got []byte
	all, err := s.Find(t.Context(), &victorialogs.Wanted{Filter: &everything})
	if err != nil {
		t.Fatal(err)
	}
	m := newMerge(s.Engine, &victorialogs.Wanted{Filter: &everything}, true, func(lines query.Lines) bool {
		got = append(got, lines.Text...)
		return true
	})
	for _, small := range []struct {
		name  string
		store Engine
		bytes int
	}{
		{"answers", s.Engine, 20_000},
		{"the store's memory", forgetful{s.Engine}, maxBytes},
	} {
		got, m.store, m.bytes = nil, small.store, small.bytes
		if err := m.run(t.Context(), all); err != nil {
			t.Fatalf("%s: %v", small.name, err)
		}
		if !bytes.Equal(got, l.Text()) {
			t.Errorf("%s: %d bytes, want the %d of the log", small.name, len(got), len(l.Text()))
		}
	}
}

// forgetful is a store that has memory for 20 records of each log.
type forgetful struct{ Engine }

// Page implements Engine.
func (s forgetful) Page(
	ctx context.Context, w *victorialogs.Wanted, spans []victorialogs.Span, limit int, f func(victorialogs.Row) error,
) error {
	if limit > 20 {
		return &fleet.Refused{Err: errors.New("400 Bad Request: it requires more than 51MB of memory")}
	}
	return s.Engine.Page(ctx, w, spans, limit, f)
}

// TestSecondStore: a question goes to the first store that answers, and the user is told which.
func TestSecondStore(t *testing.T) {
	t.Parallel()
	s := startStore(t)
	l := routerlog.New("gate", 20, 5, routerlog.Start, nil)
	l.Put(t, s.Engine, l.Lines)
	waitFor(t, s, 20)
	gone, err := victorialogs.New(otlp.Options{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	var notices []string
	reader := New([]Store{{"http://127.0.0.1:1", gone}, s}, "", func(text string) { notices = append(notices, text) })
	var out bytes.Buffer
	if err := query.Search(t.Context(), query.Query{Format: query.JSON}, reader, &out); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), l.Text()) {
		t.Error("the records are not those of the log")
	}
	if len(notices) != 2 || !strings.Contains(notices[0], "127.0.0.1:1") || !strings.Contains(notices[1], s.URL) {
		t.Errorf("notices = %q", notices)
	}
}

// TestFollow: records that come in later are handed on once and in order, those behind a missing
// one when that has come.
func TestFollow(t *testing.T) {
	t.Parallel()
	s := startStore(t)
	began := time.Now().Add(-2 * time.Minute).Truncate(time.Second)
	l := routerlog.New("gate", 60, 6, began, nil)
	l.Put(t, s.Engine, l.Lines[:20])
	waitFor(t, s, 20)
	ctx, stop := context.WithTimeout(t.Context(), tuntest.Patience)
	defer stop()
	var out bytes.Buffer
	lines := func() int { return bytes.Count(out.Bytes(), []byte("\n")) }
	reader := New([]Store{s}, "", func(text string) { t.Error("notice: ", text) })
	reader.holeTime = tuntest.Patience
	put := func(from, to int) { l.Put(t, s.Engine, l.Lines[from:to]) }
	w := &query.Wanted{Filter: new(filter.Filter), Ordered: true}
	err := reader.Follow(ctx, w, func() error {
		if lines() != 20 {
			t.Errorf("%d records at the start, want 20", lines())
		}
		put(20, 25)
		put(26, 40)
		return nil
	}, func(l query.Lines) bool {
		before := lines()
		out.Write(l.Text)
		switch {
		case before < 25 && lines() >= 25:
			put(25, 26)
			put(15, 20)
		case before < 40 && lines() >= 40:
			put(40, 60)
		}
		return lines() < 60
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), string(l.Text()); got != want {
		t.Error(firstDifference(got, want))
	}
}
