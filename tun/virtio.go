package tun

import (
	"encoding/binary"

	"syntap/tun/packet"
)

// virtioHdrLen is the size of struct virtio_net_hdr without the mergeable-buffers field (virtio 1.2
// §5.1.6). Its fields are in host byte order, because the TUN does not set VNET_LE.
const virtioHdrLen = 10

func decodeVirtio(b []byte) Offload {
	return Offload{
		Flags:      OffloadFlags(b[0]),
		GSO:        GSOType(b[1] &^ byte(gsoECN)),
		HdrLen:     binary.NativeEndian.Uint16(b[2:]),
		GSOSize:    binary.NativeEndian.Uint16(b[4:]),
		CsumStart:  binary.NativeEndian.Uint16(b[6:]),
		CsumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}

func (o Offload) encodeVirtio(b []byte) {
	b[0], b[1] = byte(o.Flags), byte(o.GSO)
	binary.NativeEndian.PutUint16(b[2:], o.HdrLen)
	binary.NativeEndian.PutUint16(b[4:], o.GSOSize)
	binary.NativeEndian.PutUint16(b[6:], o.CsumStart)
	binary.NativeEndian.PutUint16(b[8:], o.CsumOffset)
}

// fits reports whether the fields of a virtio header agree with the headers of its frame, which
// have right lengths. A program that may open a packet socket on the interface can forge both.
func (o Offload) fits(h *packet.Headers) bool {
	if o.Flags&NeedsCsum != 0 {
		start, field := int(o.CsumStart), int(o.CsumStart)+int(o.CsumOffset)
		if start < h.HeaderLen || field+2 > h.Length {
			return false
		}
	}
	return o.GSO == GSONone || o.fitsGSO(h)
}

// fitsGSO is fits for a GSO packet. The kernel never hands one over without a word about its
// checksum. A socket with IPV6_DSTOPTS sends TCP behind extension headers; if they end behind head,
// the tap refuses the frame.
func (o Offload) fitsGSO(h *packet.Headers) bool {
	if o.Flags&(NeedsCsum|DataValid) == 0 || o.GSOSize == 0 || int(o.GSOSize) > h.Length-h.HeaderLen {
		return false
	}
	switch o.GSO {
	case GSOTCPv4:
		return h.Version == 4 && h.Next == packet.ProtoTCP
	case GSOTCPv6:
		return h.Version == 6 && (h.Proto == packet.ProtoTCP || !h.Upper)
	case GSOUDP:
		return h.Next == packet.ProtoUDP
	default:
		return false
	}
}
