package capture

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"
)

// Magic numbers of pcap (draft-ietf-opsawg-pcap §4, libpcap's sf-pcap.c).
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // Kuznetzov's patch: microseconds, 8 more bytes a packet header
)

// pcapFile is the one section of a pcap file.
type pcapFile struct {
	order    binary.ByteOrder
	linkType LinkType
	unit     time.Duration // of the second half of a time stamp
	old      bool          // version before 2.4: the two length fields may be swapped
	header   int           // bytes of a packet header
}

// newPcapFile reads the head of a file, which begins with magic.
func newPcapFile(s *source, magic []byte) (*pcapFile, error) {
	f := &pcapFile{order: binary.LittleEndian, unit: time.Microsecond, header: 16}
	if magic[0] == magicMicro>>24 {
		f.order = binary.BigEndian
	}
	switch f.order.Uint32(magic) {
	case magicMicro:
	case magicNano:
		f.unit = time.Nanosecond
	case magicModified:
		f.header = 24
	default:
		return nil, fmt.Errorf("neither pcap nor pcapng: it begins with % x", magic)
	}
	head, err := s.take(24)
	if err != nil {
		return nil, err
	}
	major, minor := f.order.Uint16(head[4:]), f.order.Uint16(head[6:])
	if major != 2 {
		return nil, fmt.Errorf("pcap version %d.%d is not supported (supported: 2.x)", major, minor)
	}
	f.old = minor < 4
	// The upper half of the field tells the length of a frame check sequence and is reserved
	// otherwise.
	f.linkType = LinkType(f.order.Uint32(head[20:]))
	return f, nil
}

func (f *pcapFile) next(s *source, p *Packet) error {
	if err := s.begin(); err != nil {
		return err
	}
	head, err := s.take(f.header)
	if err != nil {
		return err
	}
	seconds, fraction := f.order.Uint32(head), f.order.Uint32(head[4:])
	captured, length := f.order.Uint32(head[8:]), f.order.Uint32(head[12:])
	if f.old && captured > length {
		captured, length = length, captured
	}
	p.Time = time.Unix(int64(seconds), int64(fraction)*int64(f.unit))
	p.LinkType, p.order = f.linkType, f.order
	return p.readFrame(s, captured, length)
}

// maxCaptured is the most captured bytes of one packet: libpcap's MAXIMUM_SNAPLEN. It bounds the
// memory that a hostile length field can make the reader allocate.
const maxCaptured = 262144

// readFrame reads the captured bytes of a packet that had length bytes on the wire.
func (p *Packet) readFrame(s *source, captured, length uint32) error {
	if captured > maxCaptured {
		return fmt.Errorf("captured length %d is over the limit of %d", captured, maxCaptured)
	}
	p.Frame = slices.Grow(p.Frame[:0], int(captured))[:captured]
	p.FrameLength = int(min(max(length, captured), math.MaxInt32))
	return s.read(p.Frame)
}
