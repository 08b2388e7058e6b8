package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testCounters is what the tests' router has counted.
var testCounters = Counters{
	Handshakes: map[string]uint64{"established": 7, "refused": 1},
	Drops:      map[string]uint64{"checksum": 3, "malformed": 0},
	Flows:      map[string]int64{"tcp": 2, "udp": 1, "icmp": 0},
	Outbound:   Traffic{Frames: 10, Bytes: 1000},
	LogRecords: 8, LogLost: map[string]uint64{"queue_full": 0},
}

// served is a server with the feed of its router, both of the test.
type served struct {
	*Server
	*Feed
}

// serve starts a server on an address and stops it with the test.
func serve(t *testing.T, address string) *served {
	t.Helper()
	return serveWithin(t, address, usualTimeouts)
}

// serveWithin is serve with other timeouts.
func serveWithin(t *testing.T, address string, within timeouts) *served {
	t.Helper()
	return serveOptions(t, address, within, Options{})
}

// serveOptions is serveWithin with other options.
func serveOptions(t *testing.T, address string, within timeouts, o Options) *served {
	t.Helper()
	return serveCounters(t, address, within, o, testCounters)
}

// serveCounters is serveOptions of a router with other counters.
func serveCounters(t *testing.T, address string, within timeouts, o Options, c Counters) *served {
	t.Helper()
	records, err := recent.New()
	if err != nil {
		t.Fatal(err)
	}
	o.Run = record.NewRun("router", "", time.Unix(0, 0))
	feed := &Feed{NewFigures("v1.2.3", "syntap0", o.Run, 4711), records}
	feed.Count(func() Counters { return c })
	o.Records = records.Reader()
	if o.Status == nil { // else they are of another process
		o.Metrics = feed.Figures
		o.Status = func(context.Context) (*Status, error) { return feed.Status() }
	}
	l, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(l, o)
	s.timeouts = within
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return &served{s, feed}
}

// established is a record whose client port tells it from others.
func established(n int) *record.Attributed {
	return &record.Attributed{Record: &handshake.Record{
		Time: time.Unix(0, 0), Outcome: handshake.Established,
		Client: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(n)), Server: netip.MustParseAddrPort("198.51.100.2:80"),
		SYNACK: new(handshake.Offer), SYNACKDelay: 2 * time.Millisecond, ACKDelay: time.Millisecond,
		Upstream: &flow.Upstream{DialTime: 2 * time.Millisecond},
	}}
}

// raw sends bytes to a server and returns all that comes back.
func raw(t *testing.T, s *served, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(tuntest.Patience))
	_, _ = io.WriteString(conn, request) // the server may have enough before the end
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

func TestGuard(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	own := s.Addr().String()
	tests := []struct {
		name, request string // HOST is the server's own; the end of the header is added
		want          string // status
	}{
		{"own address", "GET /healthz HTTP/1.1\r\nHost: HOST", "200"},
		{"localhost", "GET /healthz HTTP/1.1\r\nHost: localhost:1", "200"},
		{"forwarded port", "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8080", "200"},
		{"rebound name", "GET /healthz HTTP/1.1\r\nHost: evil.example", "403"},
		{"address in a name", "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1.nip.io:9153", "403"},
		{"another address", "GET /healthz HTTP/1.1\r\nHost: 192.0.2.1", "403"},
		{"no host", "GET /healthz HTTP/1.1", "400"},
		{"no host in 1.0", "GET /healthz HTTP/1.0", "403"},
		{"rebound name in the target", "GET http://evil.example/healthz HTTP/1.1\r\nHost: HOST", "403"},
		{"two hosts", "GET /healthz HTTP/1.1\r\nHost: HOST\r\nHost: evil.example", "400"},
		{"foreign origin", "GET /api/status HTTP/1.1\r\nHost: HOST\r\nOrigin: http://evil.example", "403"},
		{"null origin", "GET /api/status HTTP/1.1\r\nHost: HOST\r\nOrigin: null", "403"},
		{"own origin", "GET /api/status HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nSec-Fetch-Site: same-origin", "200"},
		{"subresource of another site", "GET /api/status HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors", "403"},
		{"link on another site", "GET /api/status HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate", "200"},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: HOST", "200"},
		{"HEAD of events", "HEAD /api/events HTTP/1.1\r\nHost: HOST", "200"},
		{"OPTIONS", "OPTIONS /api/status HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST", "405"},
		{"POST", "POST /api/status HTTP/1.1\r\nHost: HOST", "405"},
		{"POST with a body that never comes", "POST /api/status HTTP/1.1\r\nHost: HOST\r\nContent-Length: 10", "400"},
		{"body", "GET /api/status HTTP/1.1\r\nHost: HOST\r\nContent-Length: 100000000", "400"},
		{"length and chunks", "GET /api/status HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "400"},
		{"two lengths", "GET /api/status HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nContent-Length: 6", "400"},
		{"large header", "GET / HTTP/1.1\r\nHost: HOST\r\nX: " + strings.Repeat("x", 1<<20), "431"},
		{"unknown path", "GET /debug/pprof/ HTTP/1.1\r\nHost: HOST", "404"},
		{"path upwards", "GET /..%2f..%2fetc/passwd HTTP/1.1\r\nHost: HOST", "404"},
		{"path to be cleaned", "GET //healthz HTTP/1.1\r\nHost: HOST", "404"},
		{"unknown parameter", "GET /api/handshakes?port=1 HTTP/1.1\r\nHost: HOST", "400"},
		{"unknown outcome", "GET /api/handshakes?outcome=%3Cscript%3E HTTP/1.1\r\nHost: HOST", "400"},
		{"limit of nothing", "GET /api/handshakes?limit=0 HTTP/1.1\r\nHost: HOST", "400"},
		{"limit without end", "GET /api/handshakes?limit=99999999999999999999 HTTP/1.1\r\nHost: HOST", "400"},
		{"no number", "GET /api/events?after=x HTTP/1.1\r\nHost: HOST", "400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			answer := raw(t, s, strings.ReplaceAll(tt.request, "HOST", own)+"\r\nConnection: close\r\n\r\n")
			if _, status, _ := strings.Cut(answer, " "); !strings.HasPrefix(status, tt.want+" ") {
				t.Errorf("%q was answered with %q, want status %s", tt.request[:min(len(tt.request), 200)], answer, tt.want)
			}
			head, _, _ := strings.Cut(answer, "\r\n\r\n")
			if strings.Contains(head, "Access-Control-") || !strings.Contains(head, "Content-Type: text/plain") && tt.want != "200" {
				t.Errorf("answer opens up for other origins, or is no plain text: %q", head)
			}
			if strings.HasPrefix(tt.want, "2") && !strings.Contains(head, "Content-Security-Policy: default-src 'self'") {
				t.Errorf("answer without its policy: %q", head)
			}
		})
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "http.sock")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()

	s := serve(t, "unix:"+path)
	if _, err := Listen("unix:" + path); err == nil {
		t.Error("a socket in use was taken over")
	}
	client, err := NewClient("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.http.CloseIdleConnections()
	got, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Status{Version: "v1.2.3", Interface: "syntap0", Counters: testCounters, PID: 4711, RunID: s.o.Run.ID, Started: got.Started, Uptime: got.Uptime}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if got.Uptime < 0 || time.Since(got.Started) > time.Hour {
		t.Errorf("status %+v", got)
	}
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	for n := range recent.Handshakes + 10 {
		r := established(n)
		if n%2 == 0 {
			r.Outcome = handshake.Refused
		}
		s.Record(r)
	}
	tests := []struct {
		query string
		want  []int // client ports
	}{
		{"limit=3", []int{recent.Handshakes + 9, recent.Handshakes + 8, recent.Handshakes + 7}},
		{"outcome=refused&limit=2", []int{recent.Handshakes + 8, recent.Handshakes + 6}},
		{"outcome=&limit=3&filter=", []int{recent.Handshakes + 9, recent.Handshakes + 8, recent.Handshakes + 7}},
		{"outcome=half_open", nil},
	}
	for _, tt := range tests {
		response, err := http.Get("http://" + s.Addr().String() + "/api/handshakes?" + tt.query)
		if err != nil {
			t.Fatal(err)
		}
		var records []struct{ Seq, Sport int }
		err = json.NewDecoder(response.Body).Decode(&records)
		response.Body.Close()
		if err != nil {
			t.Fatalf("%s: %v", tt.query, err)
		}
		var got []int
		for _, r := range records {
			got = append(got, r.Sport)
			if r.Seq != r.Sport+1 {
				t.Errorf("%s: record of port %d has seq %d", tt.query, r.Sport, r.Seq)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: ports (-want +got):\n%s", tt.query, diff)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestEvents has a subscriber that comes late, and has missed what the ring no longer holds.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	for n := range recent.Handshakes + 5 {
		s.Record(established(n))
	}
	client, err := NewClient(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), tuntest.Patience)
	defer cancel()
	var got []string
	err = client.stream(ctx, "/api/events?after=2", func(e Event) {
		var r struct{ Seq, Lost int }
		if err := json.Unmarshal(e.Data, &r); err != nil {
			t.Errorf("event %s: %v", e.Data, err)
		}
		got = append(got, fmt.Sprint(e.Kind, r.Seq, r.Lost))
		if len(got) == recent.Handshakes+1 {
			s.Record(established(1))
		}
		if len(got) == recent.Handshakes+2 {
			cancel()
		}
	})
	if err != context.Canceled {
		t.Errorf("events ended with %v", err)
	}
	want := []string{"lost0 3"}
	for n := range recent.Handshakes + 1 {
		want = append(want, fmt.Sprint("message", n+6, 0))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	tuntest.Wait(t, "the subscriber to be forgotten", func() bool { return s.subscribers.size() == 0 })
}

// TestSubscribers counts them, and drops one that does not read. A Unix socket holds less than one
// batch of events: TCP takes megabytes for each before a write waits.
func TestSubscribers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "http.sock")
	s := serve(t, "unix:"+path)
	subscribe := func() *http.Response {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	for range maxSubscribersOfPeer {
		if r := subscribe(); r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("subscriber was answered with %s, %v", r.Status, r.Header)
		}
	}
	if r := subscribe(); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one subscriber more was answered with %s", r.Status)
	}
	for n := range recent.Handshakes {
		s.Record(established(n))
	}
	tuntest.Wait(t, "those that do not read to be dropped", func() bool { return s.subscribers.size() == 0 })
}

// TestAlwaysAnswers has one peer take all places there are in every way: half requests, answers
// that it does not read, subscribers, connections that it keeps. No timeout turns these out.
func TestAlwaysAnswers(t *testing.T) {
	t.Parallel()
	s := serveWithin(t, "127.0.0.1:0", timeouts{time.Hour, time.Hour, time.Hour, time.Hour})
	for n := range recent.Handshakes {
		s.Record(established(n))
	}
	const complete = " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for name, request := range map[string]string{
		"half requests":             "GET /healthz HTTP/1.1\r\nHost: loc",
		"answers that are not read": "GET /api/handshakes?limit=2048" + complete,
		"subscribers":               "GET /api/events?after=0" + complete,
		"kept connections":          "GET /metrics" + complete,
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 * maxConnections {
				conn, err := net.Dial("tcp", s.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.(*net.TCPConn).SetReadBuffer(1 << 10)
				fmt.Fprint(conn, request)
			}
			for path, want := range map[string]string{"/healthz": "ok\n", "/metrics": "syntap_build_info"} {
				if answer := raw(t, s, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, want) {
					t.Errorf("%s: %q", path, answer)
				}
			}
		})
	}
	if n := s.listings.size(); n > maxListingsOfPeer {
		t.Errorf("%d answers of megabytes to one peer", n)
	}
	if n := s.listener.crowd.size(); n > maxConnectionsOfPeer+maxSubscribersOfPeer {
		t.Errorf("%d connections of one peer", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	records, err := recent.New()
	if err != nil {
		b.Fatal(err)
	}
	feed := &Feed{NewFigures("", "", record.Run{}, 0), records}
	r := established(1)
	b.ReportAllocs()
	for b.Loop() {
		feed.Record(r)
	}
}
