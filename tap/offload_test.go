package tap

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// TestChecksumOffload covers the checksum fields of the virtio header.
func TestChecksumOffload(t *testing.T) {
	t.Parallel()
	for _, s := range []tuntest.TCP{taptest.SYN(), taptest.SYN6()} {
		whole := s.Packet()
		start := len(whole) - 24
		partial := append([]byte(nil), whole...)
		binary.BigEndian.PutUint16(partial[start+16:], packet.PseudoHeaderSum(6, s.Src.Addr().AsSlice(), s.Dst.Addr().AsSlice(), 24))
		needs := tun.Offload{Flags: tun.NeedsCsum, CsumStart: uint16(start), CsumOffset: 16}
		wrongStart, wrongOffset := needs, needs
		wrongStart.CsumStart++
		wrongOffset.CsumOffset = 6
		tests := []struct {
			name    string
			frame   []byte
			offload tun.Offload
			want    string
			flags   tun.OffloadFlags // of the frame that passes
		}{
			{"complete", whole, tun.Offload{}, "", tun.DataValid},
			{"verified", whole, tun.Offload{Flags: tun.DataValid}, "", tun.DataValid},
			{"partial", partial, needs, "", tun.NeedsCsum},
			{"partial, not said", partial, tun.Offload{}, "checksum", 0},
			{"partial from elsewhere", partial, wrongStart, "checksum", 0},
			{"partial to elsewhere", partial, wrongOffset, "checksum", 0},
		}
		for _, tt := range tests {
			w := newWorld(t, Options{})
			got, reason := w.send(tuntest.Frame{Data: tt.frame, Offload: tt.offload})
			if reason != tt.want || reason == "" && got.Offload.Flags != tt.flags {
				t.Errorf("%s: reason %q, flags %d, want %q, %d", tt.name, reason, got.Offload.Flags, tt.want, tt.flags)
			}
			if reason == "" && len(w.rec.Segments) == 1 {
				if diff := cmp.Diff(whole, w.rec.Segments[0].Packet.Data); diff != "" {
					t.Errorf("%s: shown segment (-want +got):\n%s", tt.name, diff)
				}
			}
		}
	}
}

// TestInboundOffload lets the router leave the checksum of a SYN-ACK to the host. The record's copy
// is complete.
func TestInboundOffload(t *testing.T) {
	t.Parallel()
	s := taptest.SYN6()
	w := newWorld(t, Options{})
	w.send(tuntest.Frame{Data: s.Packet()})
	whole := tuntest.TCP{Src: s.Dst, Dst: s.Src, Seq: 5, Ack: s.Seq + 1, Flags: tuntest.SYN | tuntest.ACK, Options: s.Options}.Packet()
	partial := append([]byte(nil), whole...)
	binary.BigEndian.PutUint16(partial[56:], packet.PseudoHeaderSum(6, s.Src.Addr().AsSlice(), s.Dst.Addr().AsSlice(), 24))
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: 40, CsumOffset: 16}
	if err := w.tap.WriteFrame(off, [][]byte{append([]byte(nil), partial...)}); err != nil {
		t.Fatal(err)
	}
	want := tcpdump.Packet{Data: whole, Length: len(whole), EtherType: 0x86dd}
	if diff := cmp.Diff(want, w.rec.Segments[1].Packet); diff != "" {
		t.Errorf("shown SYN-ACK (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(partial, w.link.inbound[0]); diff != "" {
		t.Errorf("SYN-ACK that the host gets (-want +got):\n%s", diff)
	}
}

// TestSuperSegment completes a handshake with a segment of 40 kB, whose body the tap must sum but
// not read.
func TestSuperSegment(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 88, 89, 1460, 40001} {
		w := newWorld(t, Options{})
		w.mustPlay("> S 1000\n< SA 5000 1001")
		s := tuntest.TCP{Src: taptest.Client, Dst: taptest.Server, Seq: 1001, Ack: 5001, Flags: tuntest.ACK, Payload: make([]byte, size)}
		for i := range s.Payload {
			s.Payload[i] = byte(i * i)
		}
		b := s.Packet()
		if size > 0 {
			broken := append([]byte(nil), b...)
			broken[len(b)-1] ^= 4
			if _, reason := w.send(tuntest.Frame{Data: broken}); reason != "checksum" {
				t.Errorf("%d bytes, one wrong: reason %q, want checksum", size, reason)
			}
		}
		if _, reason := w.send(tuntest.Frame{Data: b}); reason != "" {
			t.Errorf("%d bytes: reason %q, want none", size, reason)
		}
		last := w.rec.Segments[len(w.rec.Segments)-1].Packet
		if last.Length != len(b) || len(last.Data) != 40 {
			t.Errorf("%d bytes: shown as %d of %d bytes, want 40 of %d", size, len(last.Data), last.Length, len(b))
		}
		w.wantRecords("established 1000/5000: S SA A")
	}
}
