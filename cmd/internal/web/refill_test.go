package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// TestRefill has a router take the records of an earlier run from its log: a rotated file with one
// connection, and one that a crash has cut.
func TestRefill(t *testing.T) {
	t.Parallel()
	w := record.Writer{Run: record.NewRun("router", "earlier", time.Unix(0, 0)), Chain: record.NewChain(nil)}
	number := new(record.Numbering)
	begin := func(dst []byte, seq uint64, port int) ([]byte, *record.Attributed) {
		a := established(port)
		a.Opening = &record.Opening{Owner: &record.Owner{UID: 1000, Process: hostile}}
		a.Opening.Number(number, seq)
		return w.Handshake(dst, seq, a), a
	}
	end := func(dst []byte, seq uint64, a *record.Attributed) []byte {
		f := flow.Flow{Key: a.Key(), Started: a.Time, Duration: time.Second, Inbound: 700, End: flow.ServerFIN, Opening: a.Opening}
		return w.Flow(dst, seq, &record.AttributedFlow{Flow: f}, a.Opening.Seq(number))
	}
	rotated, first := begin(nil, 101, 1)
	present := w.Gap(nil, 102, &record.Gap{Lost: 1, Reason: record.QueueFull})
	present = end(present, 103, first)
	present, _ = begin(present, 104, 2)
	present = append(present, "{ \"time\": \"2026-11-26T09:00:00Z\", \"msg\":\"datagram\", \"seq\": 105, \"a\\\"b\": 1, \"proto\":\"udp\", \"process\": \"\u202e<\"}\n"...)
	present = append(present, "{\"time\":\"2026"...)

	path := filepath.Join(t.TempDir(), "handshakes.json")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(rotated)
	z.Close()
	older := strings.TrimSuffix(path, ".json") + "-20261126T090000.000000Z.json.gz"
	for name, content := range map[string][]byte{path: present, older: zipped.Bytes()} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := traffic{serve(t, "127.0.0.1:0")}
	if err := s.Records.Refill(path); err != nil {
		t.Fatal(err)
	}
	s.end(s.connect(3, "a.example.com"), 900)

	for _, tt := range []struct {
		path, query string
		want        []string
	}{
		{"/api/handshakes", "", []string{"handshake 3", "handshake 2", "handshake 1"}},
		{"/api/handshakes", "filter=state:unknown", []string{"handshake 2"}},
		{"/api/handshakes", "filter=in:700B-700B", []string{"handshake 1"}},
		{"/api/flows", "", []string{"flow 2 of 3,0 in 900", "flow 1 of 1,0 in 700"}},
	} {
		_, body := get(t, s.served, tt.path, tt.query)
		var records []json.RawMessage
		if err := json.Unmarshal([]byte(body), &records); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var got []string
		for _, r := range records {
			got = append(got, short(t, string(r)))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s?%s (-want +got):\n%s", tt.path, tt.query, diff)
		}
		if strings.Contains(body, `"hash"`) {
			t.Errorf("%s shows a link of a chain: %s", tt.path, body)
		}
	}

	follow(t, s.served, "after=0&filter=udp", func(_, data string) bool {
		if want := `{"time":"2026-11-26T09:00:00Z","msg":"datagram","seq":1,"proto":"udp","process":"\u202e<"}`; data != want {
			t.Errorf("a foreign record is %s, want %s", data, want)
		}
		return false
	})

	// But for its numbers and links a record is as the log has it.
	_, body := get(t, s.served, "/api/handshakes", "filter=in:700B-700B")
	want, _, _ := strings.Cut(strings.Replace(string(rotated), `"seq":101`, `"seq":1`, 1), `,"prev"`)
	if got := strings.Trim(body, "[]\n"); got != want+"}" {
		t.Errorf("record (-log +API):\n%s", cmp.Diff(want+"}", got))
	}
}

// A log that is not there yet, or holds anything else, is no obstacle.
func TestRefillFromNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	path := filepath.Join(t.TempDir(), "handshakes.json")
	if err := s.Records.Refill(path); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("no record\n{}\n[1]\n\n{\"msg\":\"flow\"}\n"+strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Records.Refill(path); err != nil {
		t.Error(err)
	}
	if n := s.Records.Reader().All().Newest(); n != 0 {
		t.Errorf("%d records of a file that has none", n)
	}
}
