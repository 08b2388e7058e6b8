package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// maxInterfaces of one section bound the memory that a hostile file can make the reader allocate.
const maxInterfaces = 4096

// ngFile reads the blocks of a pcapng file; every section starts it anew.
type ngFile struct {
	order      binary.ByteOrder
	interfaces []ngInterface
}

type ngInterface struct {
	linkType LinkType
	snapLen  uint32 // 0 = unlimited
	units    uint64 // of a time stamp in a second
	offset   int64  // seconds to add to each time stamp
}

func (f *ngFile) next(s *source, p *Packet) error {
	for {
		if err := s.begin(); err != nil {
			return err
		}
		b, err := openBlock(s, &f.order)
		if err != nil {
			return err
		}
		found := false
		switch b.kind {
		case blockSection:
			err = f.readSection(b)
		case blockInterface:
			err = f.readInterface(b)
		case blockEnhancedPacket, blockPacket:
			found, err = true, f.readPacket(b, p)
		case blockSimplePacket:
			found, err = true, f.readSimplePacket(b, p)
		}
		if err == nil {
			err = b.close()
		}
		if found || err != nil {
			return err
		}
	}
}

func (f *ngFile) readSection(b *block) error {
	f.interfaces = f.interfaces[:0]
	version, err := b.take(4)
	if err != nil {
		return err
	}
	if major := f.order.Uint16(version); major != 1 {
		return fmt.Errorf("pcapng version %d.%d is not supported (supported: 1.x)", major, f.order.Uint16(version[2:]))
	}
	return nil
}

func (f *ngFile) readInterface(b *block) error {
	if len(f.interfaces) == maxInterfaces {
		return fmt.Errorf("section has more than %d interfaces", maxInterfaces)
	}
	body, err := b.take(8)
	if err != nil {
		return err
	}
	i := ngInterface{
		linkType: LinkType(f.order.Uint16(body)),
		snapLen:  f.order.Uint32(body[4:]),
		units:    1e6,
	}
	for b.left >= 4 {
		head, err := b.take(4)
		if err != nil {
			return err
		}
		code, length := f.order.Uint16(head), int(f.order.Uint16(head[2:]))
		if code == optEnd {
			break
		}
		value, err := b.take((length + 3) &^ 3)
		if err != nil {
			return err
		}
		switch {
		case code == optResolution && length == 1:
			if i.units, err = unitsInSecond(value[0]); err != nil {
				return err
			}
		case code == optTimeOffset && length == 8:
			i.offset = int64(f.order.Uint64(value))
		}
	}
	f.interfaces = append(f.interfaces, i)
	return nil
}

// unitsInSecond reads if_tsresol: a negative power of 10, or of 2 with the top bit set.
func unitsInSecond(resolution byte) (uint64, error) {
	exponent := resolution &^ 0x80
	if resolution&0x80 != 0 {
		if exponent > 63 {
			return 0, fmt.Errorf("time resolution 2^-%d is too fine", exponent)
		}
		return 1 << exponent, nil
	}
	if exponent > 19 {
		return 0, fmt.Errorf("time resolution 10^-%d is too fine", exponent)
	}
	units := uint64(1)
	for range exponent {
		units *= 10
	}
	return units, nil
}

// time converts a time stamp exactly, whatever its unit.
func (i *ngInterface) time(stamp uint64) time.Time {
	seconds, fraction := stamp/i.units, stamp%i.units
	high, low := bits.Mul64(fraction, 1e9)
	nanoseconds, _ := bits.Div64(high, low, i.units)
	return time.Unix(int64(seconds)+i.offset, int64(nanoseconds))
}

// readPacket reads an enhanced packet block or the obsolete packet block, which differ in the first
// four bytes.
func (f *ngFile) readPacket(b *block, p *Packet) error {
	body, err := b.take(20)
	if err != nil {
		return err
	}
	number := f.order.Uint32(body)
	if b.kind == blockPacket {
		number = uint32(f.order.Uint16(body)) // the other half counts drops
	}
	i, err := f.describe(number)
	if err != nil {
		return err
	}
	p.Time = i.time(uint64(f.order.Uint32(body[4:]))<<32 | uint64(f.order.Uint32(body[8:])))
	return p.readBlock(b, i, f.order.Uint32(body[12:]), f.order.Uint32(body[16:]))
}

// readSimplePacket reads a block that has neither time nor captured length.
func (f *ngFile) readSimplePacket(b *block, p *Packet) error {
	body, err := b.take(4)
	if err != nil {
		return err
	}
	i, err := f.describe(0)
	if err != nil {
		return err
	}
	length := f.order.Uint32(body)
	captured := min(length, b.left)
	if i.snapLen != 0 {
		captured = min(captured, i.snapLen)
	}
	p.Time = time.Unix(0, 0)
	return p.readBlock(b, i, captured, length)
}

func (p *Packet) readBlock(b *block, i *ngInterface, captured, length uint32) error {
	if captured > b.left {
		return fmt.Errorf("captured length %d is over the %d bytes of its block", captured, b.left)
	}
	p.LinkType, p.order = i.linkType, b.order
	b.left -= captured
	return p.readFrame(b.src, captured, length)
}

// describe returns the description of interface n.
func (f *ngFile) describe(n uint32) (*ngInterface, error) {
	if len(f.interfaces) == 0 {
		return nil, errors.New("packet before the first interface description")
	}
	if uint64(n) >= uint64(len(f.interfaces)) {
		return nil, fmt.Errorf("packet of interface %d in a section with %d", n, len(f.interfaces))
	}
	return &f.interfaces[n], nil
}
