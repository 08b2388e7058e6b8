package tun

import "syntap/tun/packet"

// Frame is one IP frame: a packet, or a GSO packet of TCP or UDP that is still to be cut into
// packets.
type Frame struct {
	Head    []byte // the first bytes: all headers, if the buffer had HeadSize bytes
	Body    []byte // the rest
	Offload Offload
	Headers packet.Headers // of Head
}

// Len returns the length of the frame in bytes.
func (f *Frame) Len() int { return len(f.Head) + len(f.Body) }

// Fill makes f the frame of n bytes that stands in the buffers Head and Body: it shortens them and
// parses the headers.
func (f *Frame) Fill(n int, off Offload) {
	if n != f.Len() {
		f.Truncate(n)
	}
	f.Offload = off
	f.Parse()
}

// Truncate leaves of the frame its first n bytes.
func (f *Frame) Truncate(n int) {
	f.Head, f.Body = f.Head[:max(0, min(n, len(f.Head)))], f.Body[:max(0, min(n-len(f.Head), len(f.Body)))]
}

// Parse reads the headers again, after a change.
func (f *Frame) Parse() {
	f.Headers = packet.Headers{}
	f.Headers.Parse(f.Head, f.Len())
}

// Sizes of a frame, in bytes.
const (
	// MaxFrame is the longest IP packet: the length fields of IPv4 and IPv6 have 16 bits.
	MaxFrame = 65535 + 40
	// HeadSize holds the longest IPv4 and TCP headers together (60 + 60, RFC 791 §3.1, RFC 9293
	// §3.1).
	HeadSize = 128
)

// Offload is the virtio network header of a frame: the work that the sender leaves to the receiver
// (virtio 1.2 §5.1.6). The zero value describes a complete packet.
type Offload struct {
	Flags      OffloadFlags
	GSO        GSOType
	HdrLen     uint16 // length of the headers; a hint only
	GSOSize    uint16 // payload bytes of each packet but the last, if GSO is not GSONone
	CsumStart  uint16 // with NeedsCsum: where the checksummed bytes begin
	CsumOffset uint16 // with NeedsCsum: where the checksum stands, from CsumStart
}

// OffloadFlags say how far a frame's transport checksum is to be trusted.
type OffloadFlags uint8

const (
	// NeedsCsum: the checksum field holds the pseudo-header's sum only
	// (VIRTIO_NET_HDR_F_NEEDS_CSUM).
	NeedsCsum OffloadFlags = 1
	// DataValid: the checksum has been verified (VIRTIO_NET_HDR_F_DATA_VALID).
	DataValid OffloadFlags = 2
)

// GSOType says how a GSO packet is to be cut.
type GSOType uint8

const (
	GSONone  GSOType = 0
	GSOTCPv4 GSOType = 1
	GSOTCPv6 GSOType = 4
	GSOUDP   GSOType = 5 // UDP segmentation (USO), both families
	gsoECN   GSOType = 0x80
)
