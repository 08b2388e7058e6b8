package tap

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/tcpdump"
	"syntap/tun"
	"syntap/tun/tuntest"
)

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
		} else if reason := w.tap.outbound(frameOf(buf[:n])); reason != pass {
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

func TestOfferIPv6(t *testing.T) {
	t.Parallel()
	s := testSYN6()
	s.IP.TTL = 9
	b := s.Packet()
	var rec recorder
	tr := NewTracker(rec.options())
	tr.Observe(epoch, &tcpdump.Packet{Data: b, Length: len(b)})
	tr.Flush()
	mss := uint16(1460)
	if diff := cmp.Diff(Offer{Window: 64240, TTL: 9, MSS: &mss}, rec.records[0].SYN); diff != "" {
		t.Errorf("offer (-want +got):\n%s", diff)
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
