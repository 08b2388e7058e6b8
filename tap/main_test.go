package tap

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"syntap/tap/tcpdump"
	"syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	testClient = netip.MustParseAddrPort("192.0.2.1:40000")
	testServer = netip.MustParseAddrPort("198.51.100.2:443")
	epoch      = time.Unix(1_700_000_000, 0)
)

// step is one segment of a script.
type step struct {
	fromServer bool
	tcp        tuntest.TCP
	after      time.Duration // the previous one
}

// script reads segments, one a line: the direction (> is the client's), flags as letters, then seq,
// ack, payload length ("len 10") and the time since the previous segment ("+500ms", else 1 ms), all
// but seq optional.
//
//	> S 1000
//	< SA 5000 1001
//	> A 1001 5001 len 10
func script(tb testing.TB, text string) []step {
	tb.Helper()
	var steps []step
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		s := step{fromServer: words[0] == "<", after: time.Millisecond}
		s.tcp = tuntest.TCP{Src: testClient, Dst: testServer, Window: 64240}
		if s.fromServer {
			s.tcp.Src, s.tcp.Dst = testServer, testClient
		}
		for _, letter := range words[1] {
			s.tcp.Flags |= 1 << strings.IndexRune("FSRPAUEC", letter)
		}
		numbers := []*uint32{&s.tcp.Seq, &s.tcp.Ack}
		for i := 2; i < len(words); i++ {
			var err error
			switch {
			case words[i] == "len":
				i++
				var n int
				n, err = strconv.Atoi(words[i])
				s.tcp.Payload = make([]byte, n)
			case words[i][0] == '+':
				s.after, err = time.ParseDuration(words[i][1:])
			default:
				var n uint64
				n, err = strconv.ParseUint(words[i], 10, 32)
				*numbers[0], numbers = uint32(n), numbers[1:]
			}
			if err != nil {
				tb.Fatalf("script line %q: %v", line, err)
			}
		}
		steps = append(steps, s)
	}
	return steps
}

// describe prints of a record what the rules decide: outcome, numbers, retransmissions, shown
// segments.
func describe(r *Record) string {
	b := fmt.Appendf(nil, "%s", r.Outcome)
	if r.AbortedBy != "" {
		b = fmt.Appendf(b, " by %s", r.AbortedBy)
	}
	b = fmt.Appendf(b, " %d", r.ClientISN)
	if r.SYNACK != nil {
		b = fmt.Appendf(b, "/%d", r.ServerISN)
	}
	if r.SYNRetransmits+r.SYNACKRetransmits > 0 {
		b = fmt.Appendf(b, " again %d/%d", r.SYNRetransmits, r.SYNACKRetransmits)
	}
	if r.Simultaneous {
		b = append(b, " simultaneous"...)
	}
	b = append(b, ':')
	for _, s := range r.Segments {
		b = append(append(b, ' '), flagLetters(s.Packet)...)
		if !placed(r, s) {
			b = append(b, '!')
		}
	}
	return string(b)
}

// placed reports whether a segment of a record says truly who has sent it and where its TCP header
// is.
func placed(r *Record, s Segment) bool {
	var parsed packet.Headers
	parsed.Parse(s.Packet.Data, s.Packet.Length)
	src, _ := parsed.Ends(s.Packet.Data)
	return !parsed.TCP || s.FromClient == (src == r.Client) &&
		int(s.TCP) == parsed.Offset && int(s.Payload) == parsed.PayloadLen()
}

// parseSegment returns the segment of a packet of n bytes that begins with b.
func parseSegment(b []byte, n int, d direction) *segment {
	s := &segment{Headers: new(packet.Headers)}
	s.parse(b, n, d)
	return s
}

func flagLetters(p tcpdump.Packet) string {
	var h packet.Headers
	h.Parse(p.Data, p.Length)
	var b []byte
	for i, letter := range []byte("FSRPAUEC") {
		if h.Flags>>i&1 != 0 {
			b = append(b, letter)
		}
	}
	return string(b)
}

// recorder collects what a tap or tracker tells.
type recorder struct {
	mu       sync.Mutex
	records  []*Record
	segments []Segment
	keys     []flow.Key // of segments
}

func (r *recorder) options() Options {
	return Options{
		OnRecord: func(rec *Record) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.records = append(r.records, rec)
		},
		OnSegment: func(k flow.Key, s Segment) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.keys = append(r.keys, k)
			r.segments = append(r.segments, s)
		},
	}
}

// take returns the records that have come since the last call, described.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, rec := range r.records {
		all = append(all, describe(rec))
	}
	r.records = nil
	return all
}

// fields splits the expected fates of a script.
func fields(text string) []string { return strings.Fields(text) }

// lines splits the expected descriptions of a table.
func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return slices.Clip(all)
}
