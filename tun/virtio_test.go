package tun

import (
	"encoding/binary"
	"testing"

	"syntap/tun/packet"
)

func v4(total int, proto byte) []byte {
	b := make([]byte, 40)
	b[0], b[9], b[32] = 0x45, proto, 5<<4 // the last is TCP's data offset
	binary.BigEndian.PutUint16(b[2:], uint16(total))
	return b
}

func v6(payload int, proto byte) []byte {
	b := make([]byte, 60)
	b[0], b[6], b[52] = 0x60, proto, 5<<4
	binary.BigEndian.PutUint16(b[4:], uint16(payload))
	return b
}

func TestFits(t *testing.T) {
	sum := Offload{Flags: NeedsCsum, CsumStart: 20, CsumOffset: 16}
	super := sum
	super.GSO, super.GSOSize = GSOTCPv4, 1460
	with := func(o Offload, change func(*Offload)) Offload { change(&o); return o }
	for _, tt := range []struct {
		name string
		off  Offload
		head []byte
		n    int
		want bool
	}{
		{"plain IPv4", Offload{}, v4(40, packet.ProtoTCP), 40, true},
		{"plain IPv6", Offload{}, v6(20, packet.ProtoTCP), 60, true},
		{"trailing bytes", Offload{}, v4(40, packet.ProtoTCP), 46, true},
		{"nothing", Offload{}, nil, 0, false},
		{"half an IPv4 header", Offload{}, v4(40, packet.ProtoTCP)[:19], 19, false},
		{"half an IPv6 header", Offload{}, v6(20, packet.ProtoTCP)[:39], 39, false},
		{"longer than the frame", Offload{}, v4(41, packet.ProtoTCP), 40, false},
		{"shorter than its header", Offload{}, v4(19, packet.ProtoTCP), 40, false},
		{"IPv6 longer than the frame", Offload{}, v6(21, packet.ProtoTCP), 60, false},
		{"header length 16", Offload{}, append([]byte{0x44}, v4(40, packet.ProtoTCP)[1:]...), 40, false},
		{"version 5", Offload{}, append([]byte{0x55}, v4(40, packet.ProtoTCP)[1:]...), 40, false},
		{"checksum to do", sum, v4(40, packet.ProtoTCP), 40, true},
		{"checksum in the IP header", with(sum, func(o *Offload) { o.CsumStart = 10 }), v4(40, packet.ProtoTCP), 40, false},
		{"checksum behind the packet", with(sum, func(o *Offload) { o.CsumOffset = 19 }), v4(40, packet.ProtoTCP), 40, false},
		{"checksum far behind", with(sum, func(o *Offload) { o.CsumStart, o.CsumOffset = 65535, 65535 }), v4(40, packet.ProtoTCP), 40, false},
		{"GSO packet", super, v4(9000, packet.ProtoTCP), 9000, true},
		{"GSO packet without a word about its checksum", with(super, func(o *Offload) { o.Flags = 0 }), v4(9000, packet.ProtoTCP), 9000, false},
		{"GSO packet of size 0", with(super, func(o *Offload) { o.GSOSize = 0 }), v4(9000, packet.ProtoTCP), 9000, false},
		{"GSO packet of one larger packet", with(super, func(o *Offload) { o.GSOSize = 9000 }), v4(9000, packet.ProtoTCP), 9000, false},
		{"TCP GSO packet of UDP", super, v4(9000, packet.ProtoUDP), 9000, false},
		{"IPv4 GSO packet of IPv6", super, v6(9000, packet.ProtoTCP), 9040, false},
		{"IPv6 GSO packet", with(super, func(o *Offload) { o.GSO, o.CsumStart = GSOTCPv6, 40 }), v6(9000, packet.ProtoTCP), 9040, true},
		{"IPv6 GSO packet behind options", with(super, func(o *Offload) { o.GSO, o.CsumStart = GSOTCPv6, 48 }), v6(9000, 60), 9040, true},
		{"IPv6 GSO packet of another protocol", with(super, func(o *Offload) { o.GSO, o.CsumStart = GSOTCPv6, 48 }), v6(9000, packet.ProtoUDP), 9040, false},
		{"UDP GSO packet", with(super, func(o *Offload) { o.GSO, o.CsumOffset = GSOUDP, 6 }), v4(9000, packet.ProtoUDP), 9000, true},
		{"unknown GSO packet", with(super, func(o *Offload) { o.GSO = 3 }), v4(9000, packet.ProtoUDP), 9000, false},
	} {
		var h packet.Headers
		h.Parse(tt.head, tt.n)
		if got := h.Problem != packet.Malformed && tt.off.fits(&h); got != tt.want {
			t.Errorf("%s: %+v fits % x of %d bytes: %v, want %v", tt.name, tt.off, tt.head, tt.n, got, tt.want)
		}
	}
}

func TestVirtioHeaderSurvives(t *testing.T) {
	want := Offload{Flags: NeedsCsum | DataValid, GSO: GSOTCPv6, HdrLen: 1, GSOSize: 2, CsumStart: 3, CsumOffset: 4}
	var b [virtioHdrLen]byte
	want.encodeVirtio(b[:])
	if got := decodeVirtio(b[:]); got != want {
		t.Errorf("decode(encode(%+v)) = %+v", want, got)
	}
}

// FuzzFits checks that the fields of a virtio header that fits are inside its frame.
func FuzzFits(f *testing.F) {
	f.Add(make([]byte, virtioHdrLen), v4(40, packet.ProtoTCP), 0)
	f.Add([]byte{1, 1, 0, 0, 180, 5, 20, 0, 16, 0}, v4(9000, packet.ProtoTCP), 9000)
	f.Fuzz(func(t *testing.T, hdr, head []byte, n int) {
		if len(hdr) < virtioHdrLen || n < len(head) || len(head) > HeadSize || n > MaxFrame || len(head) < min(n, HeadSize) {
			return
		}
		off := decodeVirtio(hdr)
		var h packet.Headers
		if h.Parse(head, n); h.Problem == packet.Malformed || !off.fits(&h) {
			return
		}
		if off.Flags&NeedsCsum != 0 && int(off.CsumStart)+int(off.CsumOffset)+2 > n {
			t.Errorf("checksum field at %d of a frame of %d bytes", int(off.CsumStart)+int(off.CsumOffset), n)
		}
		if off.GSO != GSONone && (off.GSOSize == 0 || int(off.GSOSize) >= n) {
			t.Errorf("GSO packet of %d bytes cut into pieces of %d", n, off.GSOSize)
		}
	})
}
