package tun

// Link moves whole IP frames between the host and the router: TCP and UDP super-segments of up to
// 64 KiB as the kernel's segmentation offload makes them, not packets of MTU size.
//
// One goroutine reads; any number may write. Directions are named for the client: outbound frames
// come from ReadFrame, inbound frames go to WriteFrame.
type Link interface {
	// ReadFrame waits for the next outbound frame and stores its first bytes in head and the rest
	// in body. It returns the frame's length in bytes and what the kernel left undone. The buffers
	// stay the caller's. After Close the error is os.ErrClosed; every other error is final too.
	ReadFrame(head, body []byte) (n int, off Offload, err error)
	// WriteFrame writes one inbound frame made of bufs; bufs[0] holds its whole IP and transport
	// header and may be rewritten by the link. Other buffers are only read. No buffer is kept after
	// the return.
	WriteFrame(off Offload, bufs [][]byte) error
	// MTU is the interface's MTU in bytes: the largest packet a segment of a frame may become.
	MTU() int
	// Close ends ReadFrame and WriteFrame in every goroutine.
	Close() error
}

// IdleNotifier is a Link that can tell when it has nothing to read.
type IdleNotifier interface {
	// NotifyIdle has f called in ReadFrame before it waits, and reports whether it will be. It
	// comes before the first ReadFrame.
	NotifyIdle(f func()) bool
	// Idle reports whether every frame that was there to be read has been, and its reader has come
	// back for more since.
	Idle() bool
}

// Sizes of a frame, in bytes.
const (
	// MaxFrame is the longest IP packet: the length fields of IPv4 and IPv6 have 16 bits.
	MaxFrame = 65535 + 40
	// HeadSize holds the longest IPv4 and TCP headers together (60 + 60, RFC 791 §3.1, RFC 9293
	// §3.1).
	HeadSize = 128
)

// Offload is the virtio network header of a frame: the work the sender left to the receiver (virtio
// 1.2 §5.1.6). The zero value describes a complete packet.
type Offload struct {
	Flags      OffloadFlags
	GSO        GSOType
	HdrLen     uint16 // length of the headers; a hint only
	GSOSize    uint16 // payload bytes of each packet but the last, when GSO is not GSONone
	CsumStart  uint16 // with NeedsCsum: where the checksummed bytes begin
	CsumOffset uint16 // with NeedsCsum: where the checksum stands, from CsumStart
}

// OffloadFlags say how far a frame's transport checksum is to be trusted.
type OffloadFlags uint8

const (
	// NeedsCsum: the checksum field holds the pseudo-header's sum only
	// (VIRTIO_NET_HDR_F_NEEDS_CSUM).
	NeedsCsum OffloadFlags = 1
	// DataValid: somebody has verified the checksum (VIRTIO_NET_HDR_F_DATA_VALID).
	DataValid OffloadFlags = 2
)

// GSOType tells how a super-segment is to be cut.
type GSOType uint8

const (
	GSONone  GSOType = 0
	GSOTCPv4 GSOType = 1
	GSOTCPv6 GSOType = 4
	GSOUDP   GSOType = 5 // UDP segmentation (USO), both families
	gsoECN   GSOType = 0x80
)
