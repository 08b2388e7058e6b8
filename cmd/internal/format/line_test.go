package format

import (
	"encoding/csv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pair returns the connection of two samples; "" = none.
func pair(tb testing.TB, opening, end string) *Connection {
	tb.Helper()
	all, c := samples(tb), new(Connection)
	if opening != "" {
		c.Opening = decode(tb, all[opening])
	}
	if end != "" {
		c.End = decode(tb, all[end])
	}
	return c
}

func TestLine(t *testing.T) {
	t.Parallel()
	const (
		begin = "2026-11-26 07:50:00.123  "
		curl  = "  curl[4711] alice        "
		ends  = "192.0.2.1:40000 → www.example.com:443           "
	)
	open, unknown := pair(t, "established", ""), pair(t, "established", "")
	open.State, unknown.State = Alive, EndMissing
	for _, tt := range []struct {
		c    *Connection
		want string
	}{
		{pair(t, "established", "fin"), "established" + curl + ends + "  connect 862 µs, out 75 B, in 611 B, lasted 6.29 ms, client fin"},
		{open, "established" + curl + ends + "  connect 862 µs, open"},
		{unknown, "established" + curl + ends + "  connect 862 µs, end unknown"},
		{pair(t, "refused", ""), "refused    " + curl + ends + "  connect 862 µs, ECONNREFUSED, after 1.00 ms"},
		{pair(t, "denied", ""), "denied     " + curl + ends + "  egress.deny forbids link-local addresses"},
		{pair(t, "aborted", ""), "aborted    " + curl + ends + "  connect 862 µs, by client, after 2.00 ms"},
		{pair(t, "query", "answered"), "answered   " + curl + "192.0.2.1:40000 → www.example.com:443/udp       " +
			"  A www.example.com, NOERROR, out 75 B, in 611 B, lasted 6.29 ms"},
		{pair(t, "echo", "echo reply"), "answered   " + curl + "192.0.2.1 → www.example.com icmp                " +
			"  out 75 B, in 611 B, lasted 6.29 ms"},
	} {
		f := Line{Location: time.UTC}
		if diff := cmp.Diff(begin+tt.want+"\n", string(f.Append(nil, tt.c))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for router, want := range map[string]string{"gw1": "  gw1           ", "": "  -             ", "a name that is long\x1b": "  a name that is long\\x1b  "} {
		f := Line{Location: time.UTC, Routers: true}
		finding := pair(t, "finding", "")
		open.Router, finding.Router = router, router
		for _, c := range []*Connection{open, finding} {
			got := string(f.Append(nil, c))
			if rest, ok := strings.CutPrefix(got, strings.TrimSpace(begin)+want); !ok || !strings.HasPrefix(rest, c.Outcome()) {
				t.Errorf("of router %q: %s", router, got)
			}
		}
	}
	once := pair(t, "query", "answered")
	once.End.Duration = 0
	f := Line{Location: time.UTC}
	if got := string(f.Append(nil, once)); strings.Contains(got, "lasted") {
		t.Errorf("one datagram without an answer: %s", got)
	}
	found := decode(t, samples(t)["finding"])
	want := begin + "finding      -                       198.51.100.2 www.example.com                    " +
		"  black hole up, 1400 bytes pass, 1401 vanish, cure: clamp 1360\n"
	if got := string(f.Append(nil, connection(found))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{Span(0), "0 µs"},
		{Span(999 * time.Microsecond), "999 µs"},
		{Span(1500 * time.Microsecond), "1.50 ms"},
		{Span(59 * time.Second), "59.0 s"},
		{Span(90 * time.Second), "1m30s"},
		{Span(3 * time.Hour), "3h0m0s"},
		{Size(0), "0 B"},
		{Size(1023), "1023 B"},
		{Size(1024), "1.00 KiB"},
		{Size(1023 << 10), "1.00 MiB"},
		{Size(150 << 20), "150 MiB"},
		{Size(1 << 62), "4194304 TiB"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// Three digits are those that strconv.FormatFloat writes.
func TestThreeDigits(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 100_000 {
		v := random.Float64() * []float64{1, 10, 100, 1100}[i%4]
		behind := 0
		if v < 10 {
			behind = 2
		} else if v < 100 {
			behind = 1
		}
		if got, want := string(threeDigits(nil, v)), strconv.FormatFloat(v, 'f', behind, 64); got != want {
			t.Fatalf("%v: got %s, want %s", v, got, want)
		}
	}
}

// Lines of one second, and of others, have their own times.
func TestLineTimes(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("", 3600)
	f := Line{Location: berlin}
	c := pair(t, "established", "fin")
	start := c.Opening.Time
	for _, d := range []time.Duration{0, 7 * time.Millisecond, time.Second, 999 * time.Millisecond, -time.Hour, 24 * time.Hour} {
		c.Opening.Time = start.Truncate(time.Second).Add(d)
		want := c.Opening.Time.In(berlin).Format("2006-01-02 15:04:05.000  ")
		if got := string(f.Append(nil, c)); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got[:min(len(got), 30)], want)
		}
	}
}

// Every connection is a row with all columns, which a reader of CSV understands.
func TestCSV(t *testing.T) {
	t.Parallel()
	b := []byte(CSVHeader())
	var f CSV
	b = f.Append(b, pair(t, "established", "server fin"))
	b = f.Append(b, pair(t, "query", "answered"))
	b = f.Append(b, pair(t, "denied", ""))
	b = f.Append(b, pair(t, "", "echo reply"))
	rows, err := csv.NewReader(strings.NewReader(string(b))).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, tt := range []struct {
		row          int
		column, want string
	}{
		{1, "time", "2026-11-26T07:50:00.123456Z"},
		{1, "outcome", "established"},
		{1, "proto", "tcp"},
		{1, "src", "192.0.2.1"},
		{1, "sport", "40000"},
		{1, "dport", "443"},
		{1, "name", "www.example.com"},
		{1, "alpn", "h2 http/1.1"},
		{1, "uid", "1000"},
		{1, "exe", "/usr/bin/curl"},
		{1, "synack_us", "862"},
		{1, "duration_us", "6293"},
		{1, "outbound_packets", ""},
		{1, "close", "fin"},
		{1, "seq", "1"},
		{1, "end_seq", "2"},
		{1, "upstream_local", "203.0.113.9:40976"},
		{1, "state", "ended"},
		{2, "query", "A www.example.com"},
		{2, "rcode", "NOERROR"},
		{2, "inbound_packets", "1"},
		{2, "outcome", "answered"},
		{3, "outcome", "denied"},
		{3, "reason", "egress.deny forbids link-local addresses"},
		{3, "duration_us", ""},
		{4, "sport", "40000"},
		{4, "seq", ""},
		{4, "synack_us", ""},
	} {
		if got := rows[tt.row][slices.Index(rows[0], tt.column)]; got != tt.want {
			t.Errorf("%s of row %d is %q, want %q", tt.column, tt.row, got, tt.want)
		}
	}
	if id := rows[1][slices.Index(rows[0], "connection")]; !strings.HasPrefix(id, "C") || len(id) != uidLength {
		t.Errorf("connection is %q", id)
	}
}

// Texts from outside break no line, move no cursor and begin no formula.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	const name = `=HYPERLINK("http://x",1)` + "\x1b[2J\r\nx,\u202e\x00"
	c := pair(t, "established", "server fin")
	for _, r := range []*Record{c.Opening, c.End} {
		r.Name, r.SNI, r.HTTPHost, r.Reason, r.Rule, r.Host, r.RunID = name, name, name, name, name, name, name
		r.Owner.User, r.Owner.Process, r.Owner.Exe, r.Owner.Unit, r.Owner.Container = name, name, name, name, name
		r.Outcome, r.AbortedBy, r.ClosedBy, r.Close, r.Verdict = name, name, name, name, name
		r.ALPN, r.Names, r.QUIC = []string{name}, []string{name}, name
		r.DNS, r.Queries, r.Answers = true, []Question{{name, name}}, []Answer{{name, "A", name, 1}}
		r.Upstream.Error, r.TLSVersion, r.RCode = name, name, name
		r.Rewrites = []Rewrite{{name, name, name, name, 1}}
	}
	line := (&Line{}).Append(nil, c)
	row := new(CSV).Append(nil, c)
	outputs := [][]byte{line, row, new(Zeek).Append(nil, c)}
	for _, r := range []*Record{c.Opening, c.End} {
		outputs = append(outputs, new(OCSF).Append(nil, r), new(ECS).Append(nil, r))
	}
	for _, b := range outputs {
		if strings.ContainsAny(string(b[:len(b)-1]), "\x1b\r\n\x00\u202e") || b[len(b)-1] != '\n' {
			t.Errorf("%q", b)
		}
		if b[0] == '{' {
			decodeOutput(t, b)
		}
	}
	fields, err := csv.NewReader(strings.NewReader(string(row))).Read()
	if err != nil || len(fields) != len(csvColumns) {
		t.Errorf("%d fields, %v", len(fields), err)
	}
	for _, field := range fields {
		if field != "" && strings.IndexByte("=+-@", field[0]) >= 0 {
			t.Errorf("a formula: %q", field)
		}
	}
}
