package tap

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/taptest"
	"syntap/tap/tracker"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// memLink is a link whose frames are ready: reading ends when there are none left.
type memLink struct {
	outbound []tuntest.Frame
	mu       sync.Mutex // guards inbound
	inbound  [][]byte
}

func (l *memLink) ReadFrame(f *tun.Frame) error {
	if len(l.outbound) == 0 {
		return os.ErrClosed
	}
	next := l.outbound[0]
	l.outbound = l.outbound[1:]
	copy(f.Body, next.Data[copy(f.Head, next.Data):])
	f.Fill(len(next.Data), next.Offload)
	return nil
}

func (l *memLink) WriteFrame(_ tun.Offload, bufs [][]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbound = append(l.inbound, slices.Concat(bufs...))
	return nil
}

func (l *memLink) MTU() int     { return 1500 }
func (l *memLink) Close() error { return nil }

// world is a tap between a client and a router that a test plays.
type world struct {
	tb   testing.TB
	rec  taptest.Recorder
	link memLink
	tap  *Tap
	past atomic.Int64 // nanoseconds since epoch
}

func newWorld(tb testing.TB, o Options) *world {
	w := &world{tb: tb}
	o = recordedBy(&w.rec, o)
	o.Now = w.now
	w.tap = Wrap(&w.link, o)
	return w
}

// recordedBy returns the options with functions that feed the recorder.
func recordedBy(r *taptest.Recorder, o Options) Options {
	h := r.Options()
	o.OnRecord, o.OnSegment = h.OnRecord, h.OnSegment
	return o
}

func (w *world) now() time.Time { return taptest.Epoch.Add(time.Duration(w.past.Load())) }

// send lets the client send a frame. It returns the frame that the router reads, or nil and the
// reason.
func (w *world) send(f tuntest.Frame) (got tuntest.Frame, reason string) {
	w.tb.Helper()
	before := w.tap.Stats().Drops
	w.link.outbound = append(w.link.outbound, f)
	read := newFrame()
	if w.tap.ReadFrame(read) == nil {
		var h packet.Headers
		if h.Parse(read.Head, read.Len()); h != read.Headers {
			w.tb.Errorf("a frame has the headers %+v, and says %+v", h, read.Headers)
		}
		return tuntest.Frame{Data: slices.Concat(read.Head, read.Body), Offload: read.Offload}, ""
	}
	for word, count := range w.tap.Stats().Drops {
		if count != before[word] {
			if reason != "" || count != before[word]+1 {
				w.tb.Errorf("one frame was counted as %s and as %s", reason, word)
			}
			reason = word
		}
	}
	if reason == "" {
		w.tb.Error("a frame was dropped and not counted")
	}
	return tuntest.Frame{}, reason
}

// frameOf returns a frame that lies in one buffer.
func frameOf(b []byte) *tun.Frame {
	f := &tun.Frame{Head: b}
	f.Fill(len(b), tun.Offload{})
	return f
}

// newFrame returns a frame to be read into.
func newFrame() *tun.Frame {
	return &tun.Frame{Head: make([]byte, tun.HeadSize), Body: make([]byte, tun.MaxFrame)}
}

// play runs a script. It returns one word for each segment: "pass" or the reason of the drop.
func (w *world) play(text string) (words []string) {
	w.tb.Helper()
	for _, s := range taptest.Script(w.tb, text) {
		w.past.Add(int64(s.After))
		word := "pass"
		if s.FromServer {
			if err := w.tap.WriteFrame(tun.Offload{}, [][]byte{s.TCP.Packet()}); err != nil {
				w.tb.Fatal(err)
			}
		} else if _, reason := w.send(tuntest.Frame{Data: s.TCP.Packet()}); reason != "" {
			word = reason
		}
		words = append(words, word)
	}
	return words
}

// mustPlay runs a script none of whose segments is dropped.
func (w *world) mustPlay(text string) {
	w.tb.Helper()
	for i, word := range w.play(text) {
		if word != "pass" {
			w.tb.Fatalf("segment %d of\n%s\nwas dropped: %s", i+1, text, word)
		}
	}
}

// places is the number of handshakes, to the tap or to the router.
func (w *world) places() int { return w.tap.live.HalfOpen() + w.tap.live.Count(tracker.StateHeld) }

// wait lets time pass, and handshakes whose time is over end.
func (w *world) wait(d time.Duration) {
	w.past.Add(int64(d))
	w.tap.expire(0)
}

func (w *world) wantRecords(text string) {
	w.tb.Helper()
	if diff := cmp.Diff(taptest.Lines(text), w.rec.Take()); diff != "" {
		w.tb.Errorf("records (-want +got):\n%s", diff)
	}
}

// dialled is the end of the dial for the handshake that key names.
func dialled(isn uint32, a flow.Answer) flow.Dial { return flow.Dial{Key: key(isn), Answer: a} }

func key(isn uint32) flow.Key {
	return flow.Key{Client: taptest.Client, Server: taptest.Server, ISN: isn}
}

// chain puts extension headers between IPv6 and TCP. The first byte of each header names its own
// type; in the packet it names the next one's.
func chain(tcp []byte, headers ...[]byte) []byte {
	b := slices.Clone(tcp[:40])
	next := 6 // offset of the byte that names the next header
	for _, h := range headers {
		b[next] = h[0]
		next = len(b)
		b = append(b, h...)
	}
	b[next] = tcp[6]
	b = append(b, tcp[40:]...)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

// Extension headers for chain.
var (
	hopByHop     = []byte{0, 0, 1, 4, 0, 0, 0, 0}
	destOptions  = []byte{60, 0, 1, 4, 0, 0, 0, 0}
	routing      = []byte{43, 0, 4, 0, 0, 0, 0, 0}
	routingLeft  = []byte{43, 0, 4, 1, 0, 0, 0, 0}
	auth         = []byte{51, 1, 11: 0}
	experiment   = []byte{253, 0, 0, 0, 0, 0, 0, 0}
	atomicPiece  = []byte{44, 0, 0, 0, 0, 0, 0, 1}
	firstPiece   = []byte{44, 0, 0, 1, 0, 0, 0, 1}
	laterPiece   = []byte{44, 0, 0, 8, 0, 0, 0, 1}
	longOptions  = append([]byte{60, 16}, make([]byte, 134)...)
	unknownKept  = []byte{0, 0, 0x1e, 4, 0, 0, 0, 0} // an option of an unknown type that may be skipped
	unknownFatal = []byte{60, 0, 0x5e, 4, 0, 0, 0, 0}
	lyingOptions = []byte{60, 0, 1, 5, 0, 0, 0, 0}
	stackedChain = slices.Repeat([][]byte{destOptions}, 21)
)

// TestEvasion sends SYNs in every disguise that netstack has been seen to accept, and some that it
// has not. Each is refused for the reason given, or accepted and recorded.
func TestEvasion(t *testing.T) {
	t.Parallel()
	syn4, syn6 := taptest.SYN().Packet(), taptest.SYN6().Packet()
	withFlags := func(flags uint8) []byte {
		s := taptest.SYN()
		s.Flags = flags
		return s.Packet()
	}
	fragments := func(ip tuntest.IP) []byte {
		return ip.Packet(taptest.Client.Addr(), taptest.Server.Addr(), 6, syn4[20:28])
	}
	withOptions := func(b ...byte) []byte {
		s := taptest.SYN()
		s.IP.Options = b
		return s.Packet()
	}
	bigOptions := func() []byte {
		s := taptest.SYN()
		s.Options = slices.Repeat([]byte{1}, 40)
		s.IP.Options = slices.Repeat([]byte{1}, 40)
		return s.Packet()
	}
	optionful := taptest.SYN6()
	optionful.Options = slices.Repeat([]byte{1}, 12)
	land := taptest.SYN()
	land.Dst = netip.AddrPortFrom(land.Src.Addr(), 80)

	tests := []struct {
		name  string
		frame []byte
		want  string // reason; "" = accepted
	}{
		{"ordinary", syn4, ""},
		{"ordinary IPv6", syn6, ""},
		{"8-byte first fragment", fragments(tuntest.IP{Fragment: 0x2000}), "tcp_fragment"},
		{"second fragment", fragments(tuntest.IP{Fragment: 1}), "tcp_fragment"},
		{"middle fragment", fragments(tuntest.IP{Fragment: 0x2000 | 1}), "tcp_fragment"},
		{"late fragment", fragments(tuntest.IP{Fragment: 1000}), "tcp_fragment"},
		{"fragment with a whole header", tuntest.IP{Fragment: 0x2000}.Packet(taptest.Client.Addr(), taptest.Server.Addr(), 6, syn4[20:]), "tcp_fragment"},
		{"IP options", withOptions(7, 7, 4, 0, 0, 0, 0, 0), ""},
		{"longest headers", bigOptions(), ""},
		{"trailing bytes", append(slices.Clone(syn4), 1, 2, 3), ""},
		{"trailing bytes IPv6", append(slices.Clone(syn6), 1, 2, 3), ""},

		{"hop-by-hop", chain(syn6, hopByHop), ""},
		{"destination options", chain(syn6, destOptions), ""},
		{"routing, no segments left", chain(syn6, routing), ""},
		{"atomic fragment", chain(syn6, atomicPiece), ""},
		{"chain of six", chain(syn6, hopByHop, destOptions, routing, atomicPiece, destOptions, atomicPiece), ""},
		{"unknown option that may be skipped", chain(syn6, unknownKept), ""},
		{"unknown option that may not", chain(syn6, unknownFatal), "extension_headers"},
		{"option behind its header", chain(syn6, lyingOptions), "extension_headers"},
		{"routing, a segment left", chain(syn6, routingLeft), "extension_headers"},
		{"hop-by-hop in the middle", chain(syn6, destOptions, hopByHop), "extension_headers"},
		{"authentication header", chain(syn6, auth), "extension_headers"},
		{"experimental header", chain(syn6, experiment), "extension_headers"},
		{"chain of 21", chain(syn6, stackedChain...), "extension_headers"},
		{"experimental header in a chain", chain(syn6, taptest.Edit(experiment, 1, 1), destOptions), "extension_headers"},
		{"long options", chain(syn6, longOptions), "extension_headers"},
		{"chain that leaves no room for options", chain(optionful.Packet(), stackedChain[:8]...), "extension_headers"},
		{"chain without end", taptest.Edit(chain(syn6, destOptions)[:44], 5, 4), "extension_headers"},
		{"chain behind the end", taptest.Edit(chain(syn6, destOptions), 5, 4), "extension_headers"},
		{"first fragment IPv6", chain(syn6, firstPiece), "tcp_fragment"},
		{"later fragment IPv6", chain(syn6, laterPiece), "tcp_fragment"},
		{"later fragment of a chain", taptest.Edit(chain(syn6, laterPiece), 40, 60), "tcp_fragment"},
		{"first fragment with half a chain", taptest.Edit(taptest.Edit(chain(syn6, firstPiece)[:52], 40, 60), 5, 12), "extension_headers"},

		{"SYN and FIN", withFlags(tuntest.SYN | tuntest.FIN), "syn_flags"},
		{"SYN and RST", withFlags(tuntest.SYN | tuntest.RST), "syn_flags"},
		{"SYN and ACK", withFlags(tuntest.SYN | tuntest.ACK), "synack"},
		{"SYN and all the rest", withFlags(tuntest.SYN | tuntest.PSH | tuntest.URG | tuntest.ECE | tuntest.CWR), ""},
		{"TCP checksum", taptest.Edit(syn4, 36, syn4[36]^1), "checksum"},
		{"TCP checksum IPv6", taptest.Edit(syn6, 56, syn6[56]^1), "checksum"},
		{"IP checksum", taptest.Edit(syn4, 10, syn4[10]^1), "checksum"},

		{"nothing", nil, "malformed"},
		{"version 0", taptest.Edit(syn4, 0, 0x05), "malformed"},
		{"version 5", taptest.Edit(syn4, 0, 0x55), "malformed"},
		{"version 15", taptest.Edit(syn4, 0, 0xf5), "malformed"},
		{"header length 16", taptest.Edit(syn4, 0, 0x44), "malformed"},
		{"header longer than the packet", taptest.Edit(syn4, 0, 0x4f), "malformed"},
		{"total length too long", taptest.Edit(syn4, 3, 200), "malformed"},
		{"total length too short", taptest.Edit(syn4, 3, 19), "malformed"},
		{"total length 0", taptest.Edit(syn4, 3, 0), "malformed"},
		{"payload length 0", taptest.Edit(syn6, 5, 0), "malformed"},
		{"payload length too long", taptest.Edit(syn6, 5, 200), "malformed"},
		{"data offset 16", taptest.Edit(syn4, 32, 0x40), "malformed"},
		{"data offset behind the end", taptest.Edit(syn4, 32, 0x70), "malformed"},

		{"land", land.Packet(), "land"},
	}
	for n := 1; n < len(syn4); n++ {
		tests = append(tests, struct {
			name  string
			frame []byte
			want  string
		}{"prefix", syn4[:n], "malformed"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{})
			_, got := w.send(tuntest.Frame{Data: tt.frame})
			if got != tt.want {
				t.Errorf("frame %x: reason %q, want %q", tt.frame, got, tt.want)
			}
			w.tap.Flush()
			want := 0
			if tt.want == "" {
				want = 1
			}
			if n := len(w.rec.Records); n != want {
				t.Errorf("frame %x: %d records, want %d", tt.frame, n, want)
			}
		})
	}
}

// TestNotTCPPasses checks that the tap lets everything else alone.
func TestNotTCPPasses(t *testing.T) {
	t.Parallel()
	a, b := taptest.Client.Addr(), taptest.Server.Addr()
	syn6 := taptest.SYN6().Packet()
	unreachable := func(quote []byte) []byte {
		return tuntest.ICMP{Src: a, Dst: b, Type: 3, Code: 3, Payload: quote}.Packet()
	}
	udp := tuntest.UDP{Src: taptest.Client, Dst: taptest.Server, Payload: []byte("x")}.Packet()
	tooBig6 := tuntest.ICMP{Src: taptest.SYN6().Src.Addr(), Dst: taptest.SYN6().Dst.Addr(), Type: 2, Payload: syn6}.Packet()
	tests := []struct {
		name  string
		frame []byte
		want  string
	}{
		{"UDP", udp, ""},
		{"UDP with trailing bytes", append(slices.Clone(udp), 7), ""},
		{"UDP fragment", tuntest.IP{Fragment: 0x2000}.Packet(a, b, 17, udp[20:28]), ""},
		{"later UDP fragment", tuntest.IP{Fragment: 5}.Packet(a, b, 17, udp[20:28]), ""},
		{"echo", tuntest.ICMP{Src: a, Dst: b, Type: 8}.Packet(), ""},
		{"no whole ICMP header", tuntest.IP{}.Packet(a, b, 1, []byte{3, 1}), ""},
		{"ESP", tuntest.IP{}.Packet(a, b, 50, make([]byte, 30)), ""},
		{"IPv6 in IPv4", tuntest.IP{}.Packet(a, b, 41, syn6), ""},
		{"authentication header and UDP", tuntest.IP{}.Packet(a, b, 51, append([]byte{17, 1, 11: 0}, udp[20:]...)), ""},
		{"no next header", taptest.Edit(syn6, 6, 59), ""},
		{"later IPv6 fragment of UDP", taptest.Edit(chain(syn6, laterPiece), 40, 17), ""},
		{"error about UDP", unreachable(udp), ""},
		{"error about TCP", unreachable(taptest.SYN().Packet()), "icmp_tcp"},
		{"error about the start of TCP", unreachable(taptest.SYN().Packet()[:28]), "icmp_tcp"},
		{"error about nothing", unreachable(nil), "icmp_tcp"},
		{"fragmented error", tuntest.ICMP{Src: a, Dst: b, Type: 3, Payload: udp, IP: tuntest.IP{Fragment: 0x2000}}.Packet(), "icmp_tcp"},
		{"packet too big about TCP", tooBig6, ""}, // the router's to judge
		{"fragmentation needed about TCP", tuntest.ICMP{Src: a, Dst: b, Type: 3, Code: 4, Payload: taptest.SYN().Packet()}.Packet(), ""},
		{"fragment of it", tuntest.ICMP{Src: a, Dst: b, Type: 3, Code: 4, Payload: taptest.SYN().Packet(), IP: tuntest.IP{Fragment: 0x2000}}.Packet(), "icmp_tcp"},
		{"packet too big about TCP behind an extension header", chain(tooBig6, hopByHop), "icmp_tcp"},
		{"neighbour solicitation", tuntest.ICMP{Src: taptest.SYN6().Src.Addr(), Dst: taptest.SYN6().Dst.Addr(), Type: 135, Payload: make([]byte, 16)}.Packet(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{})
			got, reason := w.send(tuntest.Frame{Data: tt.frame})
			if reason != tt.want || reason == "" && !bytes.Equal(got.Data, tt.frame) {
				t.Errorf("frame %x: reason %q, want %q; router reads %x", tt.frame, reason, tt.want, got.Data)
			}
		})
	}
}
