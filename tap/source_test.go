package tap

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"syntap/tap/taptest"
	"syntap/tun/tuntest"
)

// TestTrailingBytes checks that bytes behind the IP packet do not become payload.
func TestTrailingBytes(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{taptest.SYN().Packet(), taptest.SYN6().Packet()} {
		w := newWorld(t, Options{})
		got, _ := w.send(tuntest.Frame{Data: append(slices.Clone(b), "smuggled"...)})
		if !bytes.Equal(got.Data, b) {
			t.Errorf("router reads %x, want %x", got.Data, b)
		}
	}
}

func TestBogusSources(t *testing.T) {
	t.Parallel()
	allowed := func(a netip.Addr) bool { return a != netip.MustParseAddr("203.0.113.9") }
	tests := []struct {
		src  string
		want string
	}{
		{"192.0.2.1", ""},
		{"203.0.113.9", "source"},
		{"0.0.0.0", "source"},
		{"0.1.2.3", "source"},
		{"127.0.0.1", "source"},
		{"224.0.0.1", "source"},
		{"240.0.0.1", "source"},
		{"255.255.255.255", "source"},
		{"2001:db8::1", ""},
		{"::", "source"},
		{"::1", "source"},
		{"ff02::1", "source"},
		{"::ffff:192.0.2.1", "source"},
	}
	for _, tt := range tests {
		w := newWorld(t, Options{Sources: allowed})
		s := taptest.SYN()
		src := netip.MustParseAddr(tt.src)
		if src.Is6() {
			s = taptest.SYN6()
		}
		s.Src = netip.AddrPortFrom(src, 40000)
		if _, got := w.send(tuntest.Frame{Data: s.Packet()}); got != tt.want {
			t.Errorf("SYN from %s: reason %q, want %q", tt.src, got, tt.want)
		}
		s.Flags = tuntest.ACK // of no connection: netstack has a RST for it
		if _, got := newWorld(t, Options{Sources: allowed}).send(tuntest.Frame{Data: s.Packet()}); got != "" {
			t.Errorf("ACK from %s: reason %q, want none", tt.src, got)
		}
	}
}
