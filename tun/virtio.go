package tun

import "encoding/binary"

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

const (
	protoTCP = 6
	protoUDP = 17
)

// honest reports whether a frame of n bytes that begins with head is an IP packet as long as it
// says, and whether its virtio header fits it. Anyone who may open a packet socket on the interface
// can forge both.
func honest(o Offload, head []byte, n int) bool {
	if len(head) < 20 {
		return false
	}
	var hdrLen, length int
	var proto byte
	switch head[0] >> 4 {
	case 4:
		hdrLen, length, proto = int(head[0]&15)*4, int(binary.BigEndian.Uint16(head[2:])), head[9]
		if hdrLen < 20 || length < hdrLen {
			return false
		}
	case 6:
		if len(head) < 40 {
			return false
		}
		hdrLen, length, proto = 40, 40+int(binary.BigEndian.Uint16(head[4:])), head[6]
	default:
		return false
	}
	if length > n {
		return false
	}
	if o.Flags&NeedsCsum != 0 {
		start, field := int(o.CsumStart), int(o.CsumStart)+int(o.CsumOffset)
		if start < hdrLen || field+2 > length {
			return false
		}
	}
	return o.GSO == GSONone || honestGSO(o, head[0]>>4, hdrLen, length, proto)
}

// honestGSO checks a super-segment. The kernel never hands one over without a word about its
// checksum. Behind extension headers there may be TCP, as a socket with IPV6_DSTOPTS sends it;
// whether there is one is for the reader to see.
func honestGSO(o Offload, version byte, hdrLen, length int, proto byte) bool {
	if o.Flags&(NeedsCsum|DataValid) == 0 || o.GSOSize == 0 || int(o.GSOSize) > length-hdrLen {
		return false
	}
	switch o.GSO {
	case GSOTCPv4:
		return version == 4 && proto == protoTCP
	case GSOTCPv6:
		return version == 6 && (proto == protoTCP || extensionHeader(proto))
	case GSOUDP:
		return proto == protoUDP
	default:
		return false
	}
}

// extensionHeader reports whether an IPv6 header says that such a header follows it (RFC 8200 §4):
// hop-by-hop options, routing, fragment, destination options.
func extensionHeader(next byte) bool { return next == 0 || next == 43 || next == 44 || next == 60 }
