package tap

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/tcpdump"
	"syntap/tun"
	"syntap/tun/tuntest"
)

// TestSYNFlood sends a million SYNs of random sources, ports and numbers. All are accounted for, the table keeps its
// bounds, and afterwards the memory is where it was.
func TestSYNFlood(t *testing.T) {
	const flood = 1_000_000
	w := newWorld(t, Options{})
	w.tap.tracker.o.OnSegment = nil // which keeps them all
	records := 0
	w.tap.tracker.o.OnRecord = func(*Record) { records++ }
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	rnd := rand.New(rand.NewPCG(1, 2))
	frame := testSYN6().Packet()
	be := binary.BigEndian
	peak := 0
	for i := range flood {
		be.PutUint64(frame[16:], rnd.Uint64()) // source address
		be.PutUint16(frame[40:], uint16(rnd.Uint32()))
		be.PutUint32(frame[44:], rnd.Uint32())
		off := tun.Offload{Flags: tun.DataValid}
		if _, reason := w.tap.outbound(frame, nil, len(frame), &off); reason != pass {
			w.tap.drops[reason].Add(1)
		}
		if i%1000 == 0 {
			w.wait(20 * time.Millisecond)
			peak = max(peak, int(w.tap.tracker.places()))
		}
	}
	w.wait(givesUp)
	w.wait(givesUp)
	s := w.tap.Stats()
	if got := uint64(records) + s.Drops["half_open"]; got != flood {
		t.Errorf("%d records and %d drops are %d of %d SYNs", records, s.Drops["half_open"], got, flood)
	}
	if peak > 4096 || s.HalfOpen != 0 {
		t.Errorf("half open: at most %d, in the end %d; want at most 4096, 0", peak, s.HalfOpen)
	}
	if grown := heap() - before; grown > 4<<20 { // the maps keep their size
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	runtime.KeepAlive(w)
}

// TestReplayFlood fills the table of a capture: the oldest attempts end early, none is lost.
func TestReplayFlood(t *testing.T) {
	t.Parallel()
	const attempts, limit = 1000, 10
	var rec recorder
	o := rec.options()
	o.HalfOpen = limit
	tr := NewTracker(o)
	for i := range uint16(attempts) {
		s := testSYN()
		s.Src = netip.AddrPortFrom(s.Src.Addr(), 1+i)
		b := s.Packet()
		tr.Observe(epoch, &tcpdump.Packet{Data: b, Length: len(b)})
	}
	if s := tr.Stats(); s.HalfOpen != limit || s.Evicted != attempts-limit {
		t.Errorf("%d half open, %d evicted; want %d, %d", s.HalfOpen, s.Evicted, limit, attempts-limit)
	}
	tr.Flush()
	var ports []int
	for _, r := range rec.records {
		ports = append(ports, int(r.Client.Port()))
	}
	if len(ports) != attempts || !slices.IsSorted(ports) {
		t.Errorf("records of %d attempts, in order: %t; want %d, true", len(ports), slices.IsSorted(ports), attempts)
	}
}

// TestParallelHandshakes lets clients and router work at the same time. Each attempt's segments arrive in the order of
// the handshake, before its record.
func TestParallelHandshakes(t *testing.T) {
	t.Parallel()
	const clients, each = 8, 200
	var (
		mu   sync.Mutex
		seen = map[Key]string{}
	)
	tap := Wrap(&repeatLink{}, Options{
		OnSegment: func(k Key, s Segment) {
			mu.Lock()
			defer mu.Unlock()
			seen[k] += " " + flagLetters(s.Packet)
		},
		OnRecord: func(r *Record) {
			mu.Lock()
			defer mu.Unlock()
			seen[Key{r.Client, r.Server, r.ClientISN}] += fmt.Sprintf(" %s(%d)", r.Outcome, len(r.Segments))
		},
	})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			client := netip.AddrPortFrom(testClient.Addr(), uint16(1+c))
			for i := range uint32(each) {
				for _, s := range script(t, handshake+"< SA 5000 1001\n> R 1001") {
					s.tcp.Src, s.tcp.Dst = client, testServer
					if s.fromServer {
						s.tcp.Src, s.tcp.Dst = testServer, client
						s.tcp.Ack += i
						if err := tap.WriteFrame(tun.Offload{}, [][]byte{s.tcp.Packet()}); err != nil {
							t.Error(err)
						}
						continue
					}
					s.tcp.Seq += i
					b := s.tcp.Packet()
					var off tun.Offload
					if _, reason := tap.outbound(b, nil, len(b), &off); reason != pass {
						t.Errorf("segment %x: %s", b, reason)
					}
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != clients*each {
		t.Errorf("%d attempts seen, want %d", len(seen), clients*each)
	}
	for k, story := range seen {
		if want := " S SA A established(3)"; story != want {
			t.Errorf("%v: %q, want %q", k, story, want)
		}
	}
}

// TestReentrance calls the tap from its own callbacks, which no lock may forbid.
func TestReentrance(t *testing.T) {
	t.Parallel()
	var tap *Tap
	var records int
	tap = Wrap(&repeatLink{}, Options{
		OnSegment: func(k Key, _ Segment) { tap.DialDone(k, DialResult{Denied: true}) },
		OnRecord: func(*Record) {
			records++
			_ = tap.Stats()
			tap.Flush()
		},
	})
	b := testSYN().Packet()
	var off tun.Offload
	if _, reason := tap.outbound(b, nil, len(b), &off); reason != pass {
		t.Fatal(reason)
	}
	if records != 1 {
		t.Errorf("%d records, want 1", records)
	}
}

// TestOwnMemory reuses the frame's buffer, as the router does. Records must not notice.
func TestOwnMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	frames := handshakeFrames()
	buf := make([]byte, tun.HeadSize)
	for i, f := range frames[:3] {
		n := copy(buf, f)
		if i == 1 {
			if err := w.tap.WriteFrame(tun.Offload{}, [][]byte{buf[:n]}); err != nil {
				t.Fatal(err)
			}
		} else if _, reason := w.tap.outbound(buf, nil, n, new(tun.Offload)); reason != pass {
			t.Fatal(reason)
		}
		clear(buf)
	}
	r := w.rec.records[0]
	for i, s := range r.Segments {
		want := tcpdump.Packet{Data: frames[i], Length: len(frames[i]), EtherType: 0x0800}
		if diff := cmp.Diff(want, s.Packet); diff != "" {
			t.Errorf("segment %d (-want +got):\n%s", i, diff)
		}
	}
	num16, num8, num32 := uint16(1460), uint8(7), uint32(1)
	offer := Offer{Window: 64240, MSS: &num16, WScale: &num8, SACKOK: true, Timestamp: &num32, TTL: 64}
	if diff := cmp.Diff(offer, r.SYN); diff != "" {
		t.Errorf("offer of the SYN (-want +got):\n%s", diff)
	}
	offer.Window = 65160
	if diff := cmp.Diff(&offer, r.SYNACK); diff != "" {
		t.Errorf("offer of the SYN-ACK (-want +got):\n%s", diff)
	}
}

func TestOffer(t *testing.T) {
	t.Parallel()
	mss := func(v uint16) *uint16 { return &v }
	tests := []struct {
		name    string
		options []byte
		flags   uint8
		want    Offer
	}{
		{"none", nil, tuntest.SYN, Offer{}},
		{"MSS twice", []byte{2, 4, 1, 0, 2, 4, 2, 0}, tuntest.SYN, Offer{MSS: mss(512)}},
		{"behind the end of the list", []byte{0, 2, 4, 1, 0, 4, 2}, tuntest.SYN, Offer{}},
		{"length 0", []byte{4, 0, 2, 4, 1, 0}, tuntest.SYN, Offer{}},
		{"length 1", []byte{4, 1, 2, 4, 1, 0}, tuntest.SYN, Offer{}},
		{"too long", []byte{2, 4, 1, 0, 8, 10, 0, 0}, tuntest.SYN, Offer{MSS: mss(256)}},
		{"wrong lengths", []byte{2, 3, 1, 3, 2, 4, 3, 0, 8, 2, 1, 1}, tuntest.SYN, Offer{}},
		{"ECN asked for", nil, tuntest.SYN | tuntest.ECE | tuntest.CWR, Offer{ECN: true}},
		{"half of it", nil, tuntest.SYN | tuntest.ECE, Offer{}},
	}
	for _, tt := range tests {
		s := testSYN()
		s.Flags, s.Options, s.Window = tt.flags, tt.options, 0
		s.IP.TTL = 9
		tt.want.TTL = 9
		b := s.Packet()
		var rec recorder
		tr := NewTracker(rec.options())
		tr.Observe(epoch, &tcpdump.Packet{Data: b, Length: len(b)})
		tr.Flush()
		if diff := cmp.Diff(tt.want, rec.records[0].SYN); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
