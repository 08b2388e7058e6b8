package tap

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tun"
	"syntap/tun/flow"
)

// TestSYNFlood sends a million SYNs of random sources, ports and numbers. All are accounted for,
// the table keeps its bounds, and afterwards the memory is where it was.
func TestSYNFlood(t *testing.T) {
	const flood, limit = 1_000_000, 8192
	records := 0
	w := &world{tb: t}
	w.tap = Wrap(&w.link, Options{TCPFlows: limit, Now: w.now, OnRecord: func(*handshake.Record) { records++ }})
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	rnd := rand.New(rand.NewPCG(1, 2))
	frame := taptest.SYN6().Packet()
	be := binary.BigEndian
	peak := 0
	var read tun.Frame
	for i := range flood {
		be.PutUint64(frame[16:], rnd.Uint64()) // source address
		be.PutUint16(frame[40:], uint16(rnd.Uint32()))
		be.PutUint32(frame[44:], rnd.Uint32())
		read.Head = frame
		read.Fill(len(frame), tun.Offload{Flags: tun.DataValid})
		if reason := w.tap.outbound(&read); reason != pass {
			w.tap.drops[reason].Add(1)
		}
		if i%1000 == 0 {
			w.wait(20 * time.Millisecond)
			peak = max(peak, int(w.places()))
		}
	}
	w.wait(givesUp)
	w.wait(givesUp)
	s := w.tap.Stats()
	dropped := s.Drops["tcp_flows_per_source"] // all are of one network
	if got := uint64(records) + dropped; got != flood {
		t.Errorf("%d records and %d drops are %d of %d SYNs", records, dropped, got, flood)
	}
	if peak > limit/2 || s.HalfOpen != 0 {
		t.Errorf("half open: at most %d, in the end %d; want at most %d, 0", peak, s.HalfOpen, limit/2)
	}
	if grown := heap() - before; grown > 4<<20 { // the maps keep their size
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	runtime.KeepAlive(w)
}

// TestParallelHandshakes lets clients and router work at the same time. Each handshake's segments
// arrive in the order of the handshake, before its record.
func TestParallelHandshakes(t *testing.T) {
	t.Parallel()
	const clients, each = 8, 200
	var (
		mu   sync.Mutex
		seen = map[flow.Key]string{}
	)
	tap := Wrap(&repeatLink{}, Options{
		OnSegment: func(k flow.Key, s handshake.Segment) {
			mu.Lock()
			defer mu.Unlock()
			seen[k] += " " + taptest.FlagLetters(s.Packet)
		},
		OnRecord: func(r *handshake.Record) {
			mu.Lock()
			defer mu.Unlock()
			seen[r.Key()] += fmt.Sprintf(" %s(%d)", r.Outcome, len(r.Segments))
		},
	})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			client := netip.AddrPortFrom(taptest.Client.Addr(), uint16(1+c))
			for i := range uint32(each) {
				for _, s := range taptest.Script(t, taptest.Handshake+"< SA 5000 1001\n> R 1001") {
					s.TCP.Src, s.TCP.Dst = client, taptest.Server
					if s.FromServer {
						s.TCP.Src, s.TCP.Dst = taptest.Server, client
						s.TCP.Ack += i
						if err := tap.WriteFrame(tun.Offload{}, [][]byte{s.TCP.Packet()}); err != nil {
							t.Error(err)
						}
						continue
					}
					s.TCP.Seq += i
					b := s.TCP.Packet()
					if reason := tap.outbound(frameOf(b)); reason != pass {
						t.Errorf("segment %x: %s", b, reason)
					}
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != clients*each {
		t.Errorf("%d handshakes seen, want %d", len(seen), clients*each)
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
		OnSegment: func(k flow.Key, _ handshake.Segment) { tap.DialDone(flow.Dial{Key: k, Answer: flow.Denied}) },
		OnRecord: func(*handshake.Record) {
			records++
			_ = tap.Stats()
			tap.Flush()
		},
	})
	if reason := tap.outbound(frameOf(taptest.SYN().Packet())); reason != pass {
		t.Fatal(reason)
	}
	if records != 1 {
		t.Errorf("%d records, want 1", records)
	}
}
