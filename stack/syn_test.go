//go:build linux

package stack

import (
	"bytes"
	"net/netip"
	"testing"

	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// Of a SYN with much data one segment's worth is kept, as a packet that is whole.
func TestKeepSYN(t *testing.T) {
	for _, client := range []string{"10.0.0.1:1000", "[fd00::1]:1000"} {
		syn := tuntest.TCP{
			Src: netip.MustParseAddrPort(client), Dst: netip.MustParseAddrPort(client), Flags: tuntest.SYN,
		}
		b := syn.Packet()
		if got := keepSYN(frameOf(b)); !bytes.Equal(got, b) {
			t.Errorf("%s: a SYN without data was changed", client)
		}
		syn.Payload = make([]byte, 20000)
		kept := keepSYN(frameOf(syn.Packet()))
		var h packet.Headers
		if h.Parse(kept, len(kept)); len(kept) != maxSYN || h.Length != len(kept) || !h.TCP {
			t.Errorf("%s: %d bytes kept, headers %+v", client, len(kept), h)
		}
		if h.Version == 4 && !packet.IPv4HeaderIntact(kept[:h.HeaderLen]) {
			t.Errorf("the checksum of the header %x is wrong", kept[:h.HeaderLen])
		}
	}
}

// frameOf returns a packet as it is read from a link.
func frameOf(b []byte) *tun.Frame {
	n := min(len(b), tun.HeadSize)
	f := &tun.Frame{Head: b[:n], Body: b[n:]}
	f.Parse()
	return f
}
