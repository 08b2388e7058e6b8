package tap

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tun"
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
	r := w.rec.Records[0]
	for i, s := range r.Segments {
		want := tcpdump.Packet{Data: frames[i], Length: len(frames[i]), EtherType: 0x0800}
		if diff := cmp.Diff(want, s.Packet); diff != "" {
			t.Errorf("segment %d (-want +got):\n%s", i, diff)
		}
	}
	num16, num8, num32 := uint16(1460), uint8(7), uint32(1)
	offer := handshake.Offer{Window: 64240, MSS: &num16, WScale: &num8, SACKOK: true, Timestamp: &num32, TTL: 64}
	if diff := cmp.Diff(offer, r.SYN); diff != "" {
		t.Errorf("offer of the SYN (-want +got):\n%s", diff)
	}
	offer.Window = 65160
	if diff := cmp.Diff(&offer, r.SYNACK); diff != "" {
		t.Errorf("offer of the SYN-ACK (-want +got):\n%s", diff)
	}
}
