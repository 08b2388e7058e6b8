package tap

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/taptest"
	"syntap/tun/tuntest"
)

// TestExtensionHeadersAreTakenOut sends segments behind extension headers. The router gets them
// without, whatever their length, and the record shows them as they were.
func TestExtensionHeadersAreTakenOut(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 40, 67, 68, 69, 76, 200, 40001} {
		for _, headers := range [][][]byte{{hopByHop}, {atomicPiece}, {hopByHop, destOptions, routing, atomicPiece}} {
			s := taptest.SYN6()
			for i := range size {
				s.Payload = append(s.Payload, byte(i*i))
			}
			plain := s.Packet()
			wrapped := chain(plain, headers...)
			w := newWorld(t, Options{})
			got, reason := w.send(tuntest.Frame{Data: slices.Clone(wrapped)})
			if reason != "" {
				t.Fatalf("%d bytes behind %x: %s", size, headers, reason)
			}
			if diff := cmp.Diff(plain, got.Data); diff != "" {
				t.Errorf("%d bytes behind %x (-want +got):\n%s", size, headers, diff)
			}
			shown := w.rec.Segments[0].Packet
			if end := len(wrapped) - size; shown.Length != len(wrapped) || !slices.Equal(shown.Data, wrapped[:end]) {
				t.Errorf("shown: %x, of %d bytes", shown.Data, shown.Length)
			}
		}
	}
}

// TestUnwrapMovesOffload has the kernel leave the checksum and the cutting of such a segment to
// others.
func TestUnwrapMovesOffload(t *testing.T) {
	t.Parallel()
	s := taptest.SYN6()
	s.Payload = make([]byte, 5000)
	plain := tuntest.Offloaded(s.Packet(), 1000)
	wrapped := tuntest.Frame{Data: chain(plain.Data, hopByHop, destOptions), Offload: plain.Offload}
	wrapped.Offload.CsumStart += 16
	wrapped.Offload.HdrLen += 16
	got, reason := newWorld(t, Options{}).send(wrapped)
	if diff := cmp.Diff(plain, got); reason != "" || diff != "" {
		t.Errorf("reason %q, frame (-want +got):\n%s", reason, diff)
	}
}
