package query

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/config"
)

// row is a connection as CSV prints it, as far as tests look.
type row struct{ start, outcome, dport, state, bytes string }

// rows runs a query for CSV.
func rows(t *testing.T, q Query, files ...string) (all []row) {
	t.Helper()
	q.Format = CSV
	var out bytes.Buffer
	if err := Run(q, files, &out); err != nil {
		t.Fatal(err)
	}
	table, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(table[0], name) }
	for _, r := range table[1:] {
		at, err := time.Parse(time.RFC3339Nano, r[column("time")])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row{
			at.Sub(start).String(), r[column("outcome")], r[column("dport")], r[column("state")], r[column("outbound_bytes")],
		})
	}
	return all
}

// Each connection has one line, whatever its records, in the order of their beginning.
func TestJoin(t *testing.T) {
	t.Parallel()
	l := mixture()
	want := []row{
		{"0s", "established", "443", "ended", "5000"},
		{"1s", "established", "22", "open", ""},
		{"2s", "refused", "8443", "ended", ""},
		{"3s", "denied", "80", "ended", ""},
		{"4s", "answered", "53", "ended", "60"},
		{"5s", "denied", "53", "ended", ""},
		{"6s", "", "9", "open", ""},
	}
	if diff := cmp.Diff(want, rows(t, Query{}, file(t, l.lines)), cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ended := slices.Clone(want)
	ended[1].state, ended[6].state = "unknown", "unknown"
	stopped := mixture()
	stopped.end(100)
	killed := mixture()
	killed.restart("gate", start.Add(time.Hour))
	killed.handshake(&connection{at: 50, client: "192.0.2.1:1000", server: "203.0.113.2:443", outcome: "refused"})
	for name, l := range map[string]*log{"stopped": stopped, "killed": killed} {
		got := rows(t, Query{}, file(t, l.lines))
		if diff := cmp.Diff(ended, got[:len(ended)], cmp.AllowUnexported(row{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// A filter leaves out connections, and not one of their records.
	for _, tt := range []struct {
		filter string
		want   []row
	}{
		{"bytes:>=5000", want[:1]},
		{"!bytes:>=5000", want[1:]},
		{"duration:>5s", want[:1]},
		{"port:443 bytes:<5000", nil},
		{"established", want[:2]},
		{"open", []row{want[1], want[6]}},
		{"process:curl", []row{want[0], want[3]}},
		{"user:alice !open", []row{want[0], want[3]}},
		{"name:*.example.com", []row{want[0], want[4]}},
		{"udp", want[4:]},
		{"answered", want[4:5]},
		{"!rule:default", []row{want[3], want[5]}}, // a flow has no rule
		{"!connect:>1ms", want[4:]},
		{"since:2026-11-23T07:50:02Z until:2026-11-23T07:50:05Z", want[2:5]},
		{"since:2026-11-23T07:50:00.000001Z", want[1:]},
		{"until:2026-11-23T07:50:01Z", want[:1]},
	} {
		got := rows(t, Query{Filter: parse(t, tt.filter)}, file(t, l.lines))
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(row{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.filter, diff)
		}
	}
}

// The records of a connection meet wherever they stand: in several files, in any order, in pipes.
func TestJoinOverFiles(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		n := 1 + random.IntN(300)
		l := many(random, n)
		cuts := []int{0, random.IntN(len(l.lines)), random.IntN(len(l.lines)), len(l.lines)}
		slices.Sort(cuts)
		var files []string
		for i := range cuts[1:] {
			files = append(files, file(t, l.lines[cuts[i]:cuts[i+1]]))
		}
		if round%2 == 1 {
			random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		}
		got := rows(t, Query{}, files...)
		if len(got) != n {
			t.Fatalf("round %d: %d connections, want %d", round, len(got), n)
		}
		seen := make(map[string]bool)
		for _, r := range got {
			if seen[r.start] || r.state != "ended" || r.bytes == "" {
				t.Fatalf("round %d: %+v, again %t", round, r, seen[r.start])
			}
			seen[r.start] = true
		}
		total := 0
		for _, r := range got {
			var bytes int
			fmt.Sscan(r.bytes, &bytes)
			total += bytes
		}
		var want int
		for i, line := range l.lines {
			if !bytes.Contains(line, []byte(`"msg":"flow"`)) {
				want += i + 1
			}
		}
		if total != want {
			t.Errorf("round %d: %d bytes, want %d", round, total, want)
		}
	}
}

// A flow whose opening is in none of the files has a line of its own, at its beginning; one whose
// opening is not wanted has none.
func TestFlowAlone(t *testing.T) {
	t.Parallel()
	lines := mixture().lines
	rest := file(t, lines[2:])
	got := rows(t, Query{}, rest)
	if got[0] != (row{"0s", "established", "443", "ended", "5000"}) {
		t.Errorf("the flow without its opening is %+v", got[0])
	}
	if len(got) != 6 {
		t.Errorf("%d connections, want 6", len(got))
	}
	var out strings.Builder
	if err := Run(Query{Top: []string{"state"}}, []string{rest}, &out); err != nil {
		t.Error(err)
	}
	if want := "       5  ended\n       1  open\n"; out.String() != want {
		t.Errorf("counted %q, want %q", out.String(), want)
	}
}

// The flow of a connection that is not wanted stays out, also where it is read first.
func TestUnwanted(t *testing.T) {
	t.Parallel()
	l := mixture()
	last := len(l.lines) - 1
	files := []string{file(t, l.lines[last:]), file(t, l.lines[:last])}
	for _, r := range rows(t, Query{Filter: parse(t, "!rule:default")}, files...) {
		if r.outcome != "denied" {
			t.Errorf("%+v is there", r)
		}
	}
}

// A capture has no flows, so that none is missing.
func TestCaptures(t *testing.T) {
	t.Parallel()
	f := write(t, config.Sink{Format: config.JSON, Path: filepath.Join(t.TempDir(), "log.json")}, attempts(8))
	for i, r := range rows(t, Query{}, f) {
		if r.state != "ended" || r.start != (time.Duration(i)*time.Second).String() {
			t.Errorf("record %d of a capture: %+v", i, r)
		}
	}
}

// Logs of an older syntap have neither runs nor numbers of openings.
func TestJoinOld(t *testing.T) {
	t.Parallel()
	l := newLog("", start)
	c := &connection{at: 0, client: "192.0.2.1:1000", server: "203.0.113.2:443", outcome: "established"}
	l.handshake(c)
	l.flow(c, 0, 3, 77, nil)
	again := *c
	again.at = 9
	l.handshake(&again)
	want := []row{{"0s", "established", "443", "ended", "77"}, {"9s", "established", "443", "open", ""}}
	if diff := cmp.Diff(want, rows(t, Query{}, file(t, l.lines)), cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Two logs may have the same numbers.
func TestJoinTwoLogs(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"", "gate"} {
		var lines [][]byte
		for i := range 3 {
			l := newLog(host, start)
			c := &connection{at: 0, client: fmt.Sprintf("192.0.2.%d:1000", i), server: "203.0.113.2:443", outcome: "established"}
			l.flow(c, l.handshake(c), 1, uint64(10+i), nil)
			lines = append(lines, l.lines...)
		}
		got := rows(t, Query{}, file(t, [][]byte{lines[0], lines[2], lines[4], lines[1], lines[3], lines[5]}))
		if len(got) != 3 || got[0].bytes != "10" || got[1].bytes != "11" || got[2].bytes != "12" {
			t.Errorf("logs of %q: %+v", host, got)
		}
	}
}

// One connection that outlasts all others does not hold them up, nor the memory.
func TestJoinHeldUp(t *testing.T) {
	t.Parallel()
	l := newLog("gate", start)
	long := &connection{at: 0, client: "192.0.2.1:1000", server: "203.0.113.2:22", outcome: "established"}
	number := l.handshake(long)
	const n = maxQueued + 10
	for i := range n {
		l.handshake(&connection{at: 1 + i, client: "192.0.2.1:1001", server: "203.0.113.2:80", outcome: "refused"})
	}
	l.flow(long, number, n+1, 5, nil)
	got := rows(t, Query{}, file(t, l.lines))
	late := slices.Index(got, row{"0s", "established", "22", "ended", "5"})
	if len(got) != n+1 || got[0].start != "1s" || late < n-int(window/time.Second)-1 {
		t.Errorf("%d connections, the first %+v, the long one at %d", len(got), got[0], late)
	}
}

// Connections without a flow have a bound, and none of them is lost.
func TestTooManyOpen(t *testing.T) {
	t.Parallel()
	l := newLog("gate", start)
	const n = maxOpen + 8
	for i := range n {
		l.handshake(&connection{at: i, client: "192.0.2.1:1001", server: "203.0.113.2:80", outcome: "established"})
	}
	var out strings.Builder
	if err := Run(Query{Top: []string{"state"}}, []string{file(t, l.lines)}, &out); err != nil {
		t.Error(err)
	}
	var open, unknown int
	_, err := fmt.Sscanf(out.String(), "%d open\n%d unknown\n", &open, &unknown)
	if err != nil || open+unknown != n || unknown < 8 {
		t.Errorf("counted %q, %v; want %d in all, and 8 unknown or more", out.String(), err, n)
	}
}

// A verdict that takes long does not put its connection behind those that began later.
func TestOrder(t *testing.T) {
	t.Parallel()
	l := newLog("gate", start)
	for _, at := range []int{0, 5, 6, 3, 9, 20, 11, 50, 36, 75, 49} {
		l.handshake(&connection{at: at, client: "192.0.2.1:1000", server: "203.0.113.2:80", outcome: "no_reply"})
	}
	var got []string
	for _, r := range rows(t, Query{}, file(t, l.lines)) {
		got = append(got, r.start)
	}
	want := []string{"0s", "3s", "5s", "6s", "9s", "11s", "20s", "36s", "49s", "50s", "1m15s"}
	if !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}

func TestTopBytes(t *testing.T) {
	t.Parallel()
	f := file(t, mixture().lines)
	for _, tt := range []struct {
		keys []string
		last int
		want string
	}{
		{[]string{"name", "port"}, 0, "    5000  www.example.com  443\n      60  secret.example.com  53\n       0  -  22\n" +
			"       0  -  53\n       0  -  80\n       0  -  8443\n       0  -  9\n"},
		{[]string{"process"}, 0, "    5000  curl\n       0  ssh\nunnamed: 60\n"},
		{[]string{"process"}, 1, "    5000  curl\nunnamed: 60\n"},
	} {
		var out strings.Builder
		var notices []string
		q := Query{Top: tt.keys, ByBytes: true, Last: tt.last, Notice: func(text string) { notices = append(notices, text) }}
		if err := Run(q, []string{f}, &out); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(tt.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.keys, diff)
		}
		if want := []string{"connections whose bytes are not known yet: 2"}; !slices.Equal(notices, want) {
			t.Errorf("notices %q, want %q", notices, want)
		}
	}
}
