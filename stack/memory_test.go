//go:build linux

package stack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// Of a SYN with much data one segment's worth is kept, as a packet that is whole.
func TestKeepSYN(t *testing.T) {
	for _, client := range []string{"10.0.0.1", "fd00::1"} {
		b := tuntest.TCP{Src: netip.AddrPortFrom(netip.MustParseAddr(client), 1000), Dst: netip.AddrPortFrom(netip.MustParseAddr(client), 80), Flags: tcpSYN, Payload: make([]byte, 20000)}.Packet()
		whole := keepSYN([][]byte{b[:tun.HeadSize], b[tun.HeadSize:]})
		var ip ipHeader
		if len(whole) != maxSYN || !ip.parse(whole, len(whole)) || ip.total != len(whole) {
			t.Errorf("%s: %d bytes kept, header says %d", client, len(whole), ip.total)
		}
		if !ip.v6 && packet.Checksum(whole[:ip.len], 0) != 0xffff {
			t.Errorf("header checksum %x is wrong", binary.BigEndian.Uint16(whole[10:]))
		}
		small := b[:ip.len+20]
		if got := keepSYN([][]byte{small}); !bytes.Equal(got, small) {
			t.Errorf("%s: a SYN without data was changed", client)
		}
	}
}
