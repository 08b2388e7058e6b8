package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestSinksAgree writes JSON, text and captures at once, rotated and compressed, while two thousand
// connections a second are made. The files of each, as a multiset of (addresses, ports, both
// initial sequence numbers), hold the handshakes that tshark finds in a capture of the TUN taken
// meanwhile; a subscriber of the live page's events gets it as it happens.
func TestSinksAgree(t *testing.T) {
	t.Parallel()
	requireTools(t, "tcpdump", "tshark")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	lab.Router.Sysctl("net.ipv4.ip_local_port_range", "1024 65535") // in a minute they are used more than once
	lab.Router.Sysctl("net.ipv4.tcp_tw_reuse", "1")
	serveEchoes(lab)
	rotation := fmt.Sprintf("max_size: %d, compress: true", scaled(megabyte/4, 10_000_000))
	r := run(t, lab.Router, "syntap0", fmt.Sprintf(`
tun: {name: syntap0}
tap:
  log:
    - {format: json, path: DIR/handshakes.json, %[1]s}
    - {format: classic, path: DIR/handshakes.txt, %[1]s}
    - {format: pcapng, path: DIR/handshakes.pcapng, %[1]s}
http: {listen: "%[2]s"}
`, rotation, viewAddress))
	tun := captureTUN(t, lab)
	events := subscribe(t, lab)

	const perSecond = 2000
	connections := scaled(2, 60) * perSecond
	start := time.Now()
	for made := 0; made < connections; made += connections / 2 {
		connectPaced(t, lab, connections/2, perSecond)
		r.wait(t, "the events of all connections", func() bool { return events.sum() == made+connections/2 })
	}
	took := time.Since(start)
	tun.stop(t)
	for _, ext := range []string{"json", "txt", "pcapng"} {
		r.wait(t, "compressed files", func() bool { return len(r.files(t, "handshakes-*."+ext+".gz")) > 0 })
	}
	r.stop(t, unix.SIGTERM)
	<-events.done
	reportf(t, "%d connections, %.0f per second, %d rotated files; of the events %d came and %d were announced as lost",
		connections, float64(connections)/took.Seconds(), len(r.files(t, "handshakes-*")), total(events.records), events.lost)

	seen := handshakesIn(t, tun.file)
	if n := total(seen); n != connections {
		t.Errorf("%d handshakes on the TUN, want %d", n, connections)
	}
	logged := establishedIn(t, r.wholeLog(t, "json"))
	for name, got := range map[string]map[handshake]int{
		"JSON":   logged,
		"text":   openedInText(t, r.wholeLog(t, "txt")),
		"pcapng": handshakesIn(t, r.logFiles(t, "pcapng")...),
	} {
		if diff := cmp.Diff(seen, got); diff != "" {
			t.Errorf("%s (-tshark +syntap):\n%.4000s", name, diff)
		}
	}
	for h, n := range events.records {
		if n != logged[h] {
			t.Errorf("%d events of %+v, which is %d times in the log", n, h, logged[h])
		}
	}
}

// logFiles returns the files of one of the router's logs by their extension, the oldest first.
func (r *router) logFiles(t *testing.T, ext string) []string {
	t.Helper()
	names := slices.Concat(r.files(t, "handshakes-*."+ext), r.files(t, "handshakes-*."+ext+".gz"))
	slices.Sort(names) // by time
	return append(names, filepath.Join(r.dir, "handshakes."+ext))
}

// wholeLog returns the content of all files of a log.
func (r *router) wholeLog(t *testing.T, ext string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range r.logFiles(t, ext) {
		all.WriteString(readLog(t, name))
	}
	return all.String()
}

// classic matches a line of the classic dialect: source and destination with their ports, flags,
// then the number of a segment that is more than an acknowledgement, then its acknowledgement.
var classic = regexp.MustCompile(`^(\S+)\.(\d+) > (\S+)\.(\d+): (\S+)(?: (\d+):\d+\(\d+\))?(?: ack (\d+))? win `)

// openedInText counts the completed handshakes of a text log. It fails at a line that is not whole.
func openedInText(t *testing.T, log string) map[handshake]int {
	t.Helper()
	all := newOpened()
	for line := range strings.Lines(log) {
		m := classic.FindStringSubmatch(line)
		if m == nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("line %q", line)
		}
		from := end{src: m[1], dst: m[3]}
		from.sport, _ = strconv.Atoi(m[2])
		from.dport, _ = strconv.Atoi(m[4])
		seq, err := strconv.ParseUint(m[6], 10, 32)
		if err != nil {
			seq = uint64(all.isn[from] + 1)
		}
		acked, err := strconv.ParseUint(m[7], 10, 32)
		all.segment(from, strings.Contains(m[5], "S"), err == nil, uint32(seq), uint32(acked))
	}
	return all.count
}

// eventStream is the stream of a subscriber to the live page's events.
type eventStream struct {
	done chan struct{} // closed when it has ended

	mu      sync.Mutex // guards the two below
	records map[handshake]int
	lost    int // records that the server says it has left out
}

// subscribe reads the events of the router in a lab until the test or the router ends.
func subscribe(t *testing.T, lab *tuntest.Lab) *eventStream {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: lab.Router.Dial}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+viewAddress+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	s := &eventStream{done: make(chan struct{}), records: make(map[handshake]int)}
	go func() {
		defer close(s.done)
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				s.add(t, []byte(data))
			}
		}
	}()
	t.Cleanup(func() { <-s.done })
	return s
}

// add takes the data of an event: a record, or {"lost":N} in the place of N records.
func (s *eventStream) add(t *testing.T, data []byte) {
	var e struct {
		Lost int
		openingRecord
	}
	if err := json.Unmarshal(data, &e); err != nil {
		t.Errorf("event %s: %v", data, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += e.Lost
	if e.Outcome == "established" {
		s.records[e.handshake()]++
	}
}

// sum returns of how many records there was word.
func (s *eventStream) sum() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return total(s.records) + s.lost
}
