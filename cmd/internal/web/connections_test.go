package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

// traffic is a router's: connections that each test knows by the port of their client.
type traffic struct{ *served }

func (s traffic) connect(port int, name string) *record.Attributed {
	r := established(port)
	r.Opening = &record.Opening{Name: &record.Name{Name: name, Source: "dns"}, Owner: &record.Owner{UID: 1000, User: "alice", PID: 7, Process: "curl"}}
	s.Record(r)
	return r
}

func (s traffic) end(r *record.Attributed, bytes uint64) {
	s.Flow(&record.AttributedFlow{Flow: flow.Flow{
		Key: r.Key(), Started: r.Time, Duration: time.Second, Inbound: bytes, End: flow.ServerFIN, Opening: r.Opening,
	}})
}

func (s traffic) ask(port int, name string, answered bool) {
	d := &flow.Datagram{
		Proto: flow.UDP, Client: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(port)),
		Server: netip.MustParseAddrPort("198.51.100.53:53"), Time: time.Unix(0, 0), Length: 40,
		DNS: &flow.DNS{Queries: []flow.Question{{Name: name, Type: 1}}},
	}
	o := new(record.Opening)
	d.Opening = o
	s.Datagram(&record.AttributedDatagram{Datagram: d, Opening: o})
	if answered {
		s.Flow(&record.AttributedFlow{Flow: flow.Flow{
			Datagram: d, Key: flow.Key{Client: d.Client, Server: d.Server}, Started: d.Time, Duration: time.Millisecond, Outbound: 40, Inbound: 80, OutboundPackets: 1, InboundPackets: 1,
			Outcome: flow.Answered, DNS: &flow.DNS{Response: true, Queries: d.DNS.Queries},
		}})
	}
}

func get(t *testing.T, s *served, path, query string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: tuntest.Patience}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + s.Addr().String() + path + "?" + query)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// short names a record by its type and number, and an end also by its opening and bytes.
func short(t *testing.T, text string) string {
	t.Helper()
	var r struct {
		Msg          string
		Seq          uint64
		HandshakeSeq uint64 `json:"handshake_seq"`
		DatagramSeq  uint64 `json:"datagram_seq"`
		Inbound      uint64 `json:"inbound_bytes"`
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if r.Msg != "flow" {
		return fmt.Sprintf("%s %d", r.Msg, r.Seq)
	}
	return fmt.Sprintf("flow %d of %d,%d in %d", r.Seq, r.HandshakeSeq, r.DatagramSeq, r.Inbound)
}

func TestFlows(t *testing.T) {
	t.Parallel()
	s := traffic{serve(t, "127.0.0.1:0")}
	first := s.connect(1, "a.example.com")
	second := s.connect(2, "b.example.com")
	s.end(second, 500)
	s.ask(3, "a.example.com", true)
	s.end(first, 7)
	s.ask(4, "c.example.com", false)
	for query, want := range map[string][]string{
		"":                                     {"flow 3 of 1,0 in 7", "flow 2 of 0,1 in 80", "flow 1 of 2,0 in 500"},
		"limit=1":                              {"flow 3 of 1,0 in 7"},
		"outcome=answered":                     {"flow 2 of 0,1 in 80"},
		"outcome=established":                  {"flow 3 of 1,0 in 7", "flow 1 of 2,0 in 500"},
		"filter=" + url.QueryEscape("in:>100"): {"flow 1 of 2,0 in 500"},
		"filter=name:a.example.com":            {"flow 3 of 1,0 in 7", "flow 2 of 0,1 in 80"},
		"filter=connect:<1ms":                  nil, // which the handshake says
		"filter=process:curl+connect:<1s":      {"flow 3 of 1,0 in 7", "flow 1 of 2,0 in 500"},
		"filter=open":                          nil,
	} {
		status, body := get(t, s.served, "/api/flows", query)
		var records []json.RawMessage
		if err := json.Unmarshal([]byte(body), &records); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s, %v", query, status, body, err)
		}
		var got []string
		for _, r := range records {
			got = append(got, short(t, string(r)))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	// Handshakes are judged by what has become of them.
	if _, body := get(t, s.served, "/api/handshakes", "filter=in:>100"); strings.Count(body, `"msg"`) != 1 || !strings.Contains(body, `"sport":2,`) {
		t.Errorf("handshakes with more than 100 bytes: %s", body)
	}
}

// Errors of a filter say where it is wrong, and what would be right.
func TestFilterErrors(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	for _, path := range []string{"/api/flows", "/api/handshakes", "/api/connections"} {
		status, body := get(t, s, path, "filter="+url.QueryEscape("open prot:tcp port:x"))
		const want = "column 6: \"prot\" is no key\nhint: did you mean \"proto\"?\ncolumn 15: port: \"x\" is no port\n"
		if status != http.StatusBadRequest || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	if status, body := get(t, s, "/api/flows", "outcome=x"); status != http.StatusBadRequest || !strings.Contains(body, "answered") {
		t.Errorf("unknown outcome: %d %q", status, body)
	}
}

// follow calls f with the connections of a filter as they change, until f returns false.
func follow(t *testing.T, s *served, query string, f func(kind, data string) bool) {
	t.Helper()
	client := http.Client{Timeout: tuntest.Patience}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + s.Addr().String() + "/api/connections?" + query)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	kind, first := "", true
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "event":
			kind = value
		case "data":
			if first != (kind == "run") {
				t.Errorf("event %q of %s", kind, value)
			}
			if !first && !f(kind, value) {
				return
			}
			kind, first = "", false
		}
	}
	t.Error("the stream has ended")
}

// TestConnections has connections begin to match, and cease to, while they are looked at and
// before.
func TestConnections(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		filter      string
		early, late []string // before the subscriber comes, and after
	}{
		{
			"",
			[]string{"handshake 1", "handshake 2", "flow 1 of 2,0 in 500", "datagram 1", "flow 2 of 0,1 in 80"},
			[]string{"flow 3 of 1,0 in 900", "handshake 3"},
		},
		{"in:>100", []string{"handshake 2", "handshake 2", "flow 1 of 2,0 in 500"}, []string{"handshake 1", "flow 3 of 1,0 in 900"}},
		{"open", []string{"handshake 1", "gone handshake 2", "gone datagram 1"}, []string{"gone handshake 1", "handshake 3"}},
		{"udp", []string{"datagram 1", "flow 2 of 0,1 in 80"}, nil},
		{"name:*.example.com !open", []string{"handshake 2", "handshake 2", "flow 1 of 2,0 in 500", "datagram 1", "datagram 1", "flow 2 of 0,1 in 80"}, []string{"handshake 1", "flow 3 of 1,0 in 900"}},
		{"!in:>100", []string{"handshake 1", "gone handshake 2", "datagram 1", "flow 2 of 0,1 in 80"}, []string{"gone handshake 1", "handshake 3"}},
	} {
		t.Run(tt.filter, func(t *testing.T) {
			t.Parallel()
			s := traffic{serve(t, "127.0.0.1:0")}
			first := s.connect(1, "a.example.com")
			second := s.connect(2, "b.example.com")
			s.end(second, 500)
			s.ask(3, "a.example.com", true)
			want := tt.early
			var got []string
			follow(t, s.served, "after=0&filter="+url.QueryEscape(tt.filter), func(kind, data string) bool {
				got = append(got, strings.TrimSpace(kind+" "+short(t, data)))
				if len(got) == len(tt.early) {
					want = append(want, tt.late...)
					s.end(first, 900)
					s.connect(4, "d.example.com")
				}
				return len(got) < len(tt.early)+len(tt.late)
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A flow whose opening is no longer kept still comes, or says that its connection is gone.
func TestOpeningNotKept(t *testing.T) {
	t.Parallel()
	s := traffic{serve(t, "127.0.0.1:0")}
	first := s.connect(1, "a.example.com")
	for range recent.Records {
		s.ask(3, "b.example.com", false)
	}
	s.end(first, 900)
	for text, want := range map[string]string{"in:>100": "flow 1 of 1,0 in 900", "tcp+open": "gone handshake 1"} {
		follow(t, s.served, fmt.Sprintf("after=%d&filter=%s", recent.Records+1, text), func(kind, data string) bool {
			if got := strings.TrimSpace(kind + " " + short(t, data)); got != want {
				t.Errorf("%s: %s, want %s", text, got, want)
			}
			return false
		})
	}
}

// A position counts in the run that it is of.
func TestOtherRun(t *testing.T) {
	t.Parallel()
	s := traffic{serve(t, "127.0.0.1:0")}
	for port := range 3 {
		s.connect(port, "a.example.com")
	}
	for query, want := range map[string]string{
		"after=2&run=" + s.o.Run.ID: "handshake 3", "after=2&run=0123456789abcdef": "handshake 1", "after=2": "handshake 3",
	} {
		follow(t, s.served, query, func(_, data string) bool {
			if got := short(t, data); got != want {
				t.Errorf("%s: begins with %s, want %s", query, got, want)
			}
			return false
		})
	}
}

// The page's help has the keys of the grammar, each once.
func TestHelpNamesKeys(t *testing.T) {
	t.Parallel()
	page, err := pageFiles.ReadFile("page/live.html")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`<code>(\w+):`).FindAllSubmatch(page, -1) {
		got = append(got, string(m[1]))
	}
	want := filter.Keys()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-filter +help):\n%s", diff)
	}
}

// TestHead asks for the head of each answer.
func TestHead(t *testing.T) {
	t.Parallel()
	fleet := func(context.Context) ([]byte, error) { return []byte("{}"), nil }
	s := serveOptions(t, "127.0.0.1:0", usualTimeouts, Options{Fleet: fleet})
	for path := range s.routes() {
		answer := raw(t, s, "HEAD "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.HasSuffix(answer, "\r\n\r\n") {
			t.Errorf("HEAD %s: %q", path, answer)
		}
	}
}
