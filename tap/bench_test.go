package tap

import (
	"net/netip"
	"testing"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tun"
	"syntap/tun/tuntest"
)

// repeatLink returns one frame again and again, and discards written frames.
type repeatLink struct {
	memLink
	frame tuntest.Frame
}

func (l *repeatLink) ReadFrame(f *tun.Frame) error {
	copy(f.Body, l.frame.Data[copy(f.Head, l.frame.Data):])
	f.Fill(len(l.frame.Data), l.frame.Offload)
	return nil
}

func (l *repeatLink) WriteFrame(tun.Offload, [][]byte) error { return nil }

// dataSegment is a whole segment of an open connection, as the kernel hands it over.
func dataSegment(s tuntest.TCP) tuntest.Frame {
	s.Flags, s.Ack, s.Options = tuntest.ACK|tuntest.PSH, 1, append([]byte{1, 1, 8, 10}, make([]byte, 8)...)
	s.Payload = make([]byte, 50)
	b := s.Packet()
	start := len(b) - 50 - 32
	return tuntest.Frame{Data: b, Offload: tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(start), CsumOffset: 16}}
}

// BenchmarkDataSegment measures the cost of a segment of a connection without a handshake: parse
// and test.
func BenchmarkDataSegment(b *testing.B) {
	for name, s := range map[string]tuntest.TCP{"IPv4": taptest.SYN(), "IPv6": taptest.SYN6()} {
		b.Run("outbound/"+name, func(b *testing.B) {
			f := dataSegment(s)
			tap := Wrap(&memLink{}, Options{})
			b.ReportAllocs()
			var read tun.Frame
			for b.Loop() {
				read.Head = f.Data
				read.Fill(len(f.Data), f.Offload)
				if r := tap.outbound(&read); r != pass {
					b.Fatal(r)
				}
			}
		})
		b.Run("inbound/"+name, func(b *testing.B) {
			s.Src, s.Dst = s.Dst, s.Src
			f := dataSegment(s)
			tap := Wrap(&repeatLink{}, Options{})
			bufs := [][]byte{f.Data}
			b.ReportAllocs()
			for b.Loop() {
				if err := tap.WriteFrame(f.Offload, bufs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHandshake measures three segments and their record, and the end that the router tells
// of.
func BenchmarkHandshake(b *testing.B) {
	records := 0
	tap := Wrap(&repeatLink{}, Options{OnRecord: func(*handshake.Record) { records++ }})
	frames := handshakeFrames()
	head := make([]byte, tun.HeadSize)
	var read tun.Frame
	outbound := func(f []byte) {
		read.Head = head[:copy(head, f)]
		read.Fill(len(f), tun.Offload{})
		if r := tap.outbound(&read); r != pass {
			b.Fatal(r)
		}
	}
	bufs := [][]byte{frames[1]}
	b.ReportAllocs()
	for b.Loop() {
		outbound(frames[0])
		if err := tap.WriteFrame(tun.Offload{}, bufs); err != nil {
			b.Fatal(err)
		}
		outbound(frames[2])
		tap.Forget(key(1000))
	}
	if records != b.N {
		b.Errorf("%d records of %d handshakes", records, b.N)
	}
}

// handshakeFrames returns SYN, SYN-ACK and ACK, each with the options that Linux sends.
func handshakeFrames() [][]byte {
	options := []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7}
	stamp := []byte{1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 3}
	c, s := taptest.Client, taptest.Server
	return [][]byte{
		tuntest.TCP{Src: c, Dst: s, Seq: 1000, Flags: tuntest.SYN, Window: 64240, Options: options}.Packet(),
		tuntest.TCP{Src: s, Dst: c, Seq: 5000, Ack: 1001, Flags: tuntest.SYN | tuntest.ACK, Window: 65160, Options: options}.Packet(),
		tuntest.TCP{Src: c, Dst: s, Seq: 1001, Ack: 5001, Flags: tuntest.ACK, Window: 502, Options: stamp}.Packet(),
	}
}

func TestAllocations(t *testing.T) {
	for _, s := range []tuntest.TCP{taptest.SYN(), taptest.SYN6()} {
		f := dataSegment(s)
		tap := Wrap(&repeatLink{frame: f}, Options{})
		read := newFrame()
		head, body := read.Head, read.Body
		bufs := [][]byte{f.Data}
		n := testing.AllocsPerRun(1000, func() {
			read.Head, read.Body = head, body
			if err := tap.ReadFrame(read); err != nil {
				t.Fatal(err)
			}
			if err := tap.WriteFrame(f.Offload, bufs); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("a data segment from %v costs %v allocations each way", s.Src, n)
		}
	}

	// A handshake: the flow, and the handshake with its record.
	tap := Wrap(&repeatLink{}, Options{OnRecord: func(*handshake.Record) {}, Sources: func(netip.Addr) bool { return true }})
	frames := handshakeFrames()
	bufs := [][]byte{frames[1]}
	var read tun.Frame
	n := testing.AllocsPerRun(1000, func() {
		for i, f := range frames {
			if i == 1 {
				_ = tap.WriteFrame(tun.Offload{}, bufs)
			} else {
				read.Head = f
				read.Fill(len(f), tun.Offload{})
				tap.outbound(&read)
			}
		}
		tap.Forget(key(1000))
	})
	if n > 3 {
		t.Errorf("a handshake costs %v allocations, want at most 3", n)
	}
	if got := tap.Stats().Handshakes[handshake.Established]; got != 1001 {
		t.Errorf("%d handshakes recorded, want 1001", got)
	}
}
