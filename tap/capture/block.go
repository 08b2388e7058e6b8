package capture

import (
	"encoding/binary"
	"fmt"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng §4).
const (
	blockSection        = 0x0a0d0d0a // the same in both byte orders
	blockInterface      = 1
	blockPacket         = 2 // obsolete
	blockSimplePacket   = 3
	blockEnhancedPacket = 6
)

// Option codes of pcapng; their meaning depends on the block, but for the first two.
const (
	optEnd         = 0
	optComment     = 1
	optHardware    = 2  // of a section
	optOS          = 3  // of a section
	optApplication = 4  // of a section
	optResolution  = 9  // if_tsresol of an interface
	optTimeOffset  = 14 // if_tsoffset of an interface
)

const (
	byteOrderMagic = 0x1a2b3c4d
	blockOverhead  = 12 // type, length, and behind the body the length again
)

func isSection(head []byte) bool { return binary.BigEndian.Uint32(head) == blockSection }

// block is a pcapng block being read.
type block struct {
	src    *source
	order  binary.ByteOrder
	kind   uint32
	length uint32 // as announced, overhead included
	left   uint32 // bytes of the body not yet read
}

// openBlock reads the head of a block. A section header brings its own byte order, which order
// keeps.
func openBlock(s *source, order *binary.ByteOrder) (*block, error) {
	var head [12]byte
	if err := s.read(head[:8]); err != nil {
		return nil, err
	}
	overhead := uint32(blockOverhead)
	if isSection(head[:]) {
		if err := s.read(head[8:]); err != nil {
			return nil, err
		}
		switch {
		case binary.LittleEndian.Uint32(head[8:]) == byteOrderMagic:
			*order = binary.LittleEndian
		case binary.BigEndian.Uint32(head[8:]) == byteOrderMagic:
			*order = binary.BigEndian
		default:
			return nil, fmt.Errorf("section has the unknown byte-order magic % x", head[8:])
		}
		overhead += 4
	}
	b := &block{
		src: s, order: *order, kind: (*order).Uint32(head[:]), length: (*order).Uint32(head[4:]),
	}
	if b.length < overhead || b.length%4 != 0 {
		return nil, fmt.Errorf("block length %d is not possible", b.length)
	}
	b.left = b.length - overhead
	return b, nil
}

// take returns the next n bytes of the body.
func (b *block) take(n int) ([]byte, error) {
	if uint64(n) > uint64(b.left) {
		return nil, fmt.Errorf("block of %d bytes is too short for its content", b.length)
	}
	b.left -= uint32(n)
	return b.src.take(n)
}

// close skips the rest of the body and checks the second copy of the length.
func (b *block) close() error {
	if err := b.src.skip(int64(b.left)); err != nil {
		return err
	}
	tail, err := b.src.take(4)
	if err != nil {
		return err
	}
	if length := b.order.Uint32(tail); length != b.length {
		return fmt.Errorf("block length is %d in front and %d behind", b.length, length)
	}
	return nil
}
