package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"time"
)

// Writer writes packets as one section of a pcapng file, with one interface for each link type.
// Each packet is one Write to the file.
type Writer struct {
	w     io.Writer
	unit  time.Duration // of a time stamp
	links []LinkType    // of the interfaces, by number
	buf   []byte
}

// NewWriter writes the head of a section for frames of the link type given. The resolution of the
// time stamps is time.Microsecond or time.Nanosecond. Behind a whole pcapng file the section
// extends it.
func NewWriter(w io.Writer, link LinkType, resolution time.Duration) (*Writer, error) {
	if resolution != time.Nanosecond && resolution != time.Microsecond {
		return nil, fmt.Errorf("write capture: resolution %v is not supported (supported: 1µs, 1ns)", resolution)
	}
	c := &Writer{w: w, unit: resolution}

	start := c.open(blockSection)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, byteOrderMagic)
	c.buf = binary.LittleEndian.AppendUint16(c.buf, 1) // version 1.0
	c.buf = binary.LittleEndian.AppendUint16(c.buf, 0)
	c.buf = binary.LittleEndian.AppendUint64(c.buf, math.MaxUint64) // section length unknown
	c.option(optHardware, runtime.GOARCH)
	c.option(optOS, runtime.GOOS)
	c.option(optApplication, "syntap")
	c.option(optEnd, "")
	c.close(start)

	c.interfaceOf(link)
	return c, c.flush()
}

// interfaceOf returns the number of the interface for a link type. It describes the interface first
// if need be.
func (c *Writer) interfaceOf(link LinkType) uint32 {
	if i := slices.Index(c.links, link); i >= 0 {
		return uint32(i)
	}
	exponent := "\x09" // if_tsresol: 10^-9
	if c.unit == time.Microsecond {
		exponent = "\x06"
	}
	start := c.open(blockInterface)
	c.buf = binary.LittleEndian.AppendUint16(c.buf, uint16(link))
	c.buf = binary.LittleEndian.AppendUint16(c.buf, 0) // reserved
	c.buf = binary.LittleEndian.AppendUint32(c.buf, 0) // no snap length
	c.option(optResolution, exponent)
	c.option(optEnd, "")
	c.close(start)
	c.links = append(c.links, link)
	return uint32(len(c.links) - 1)
}

// WritePacket writes the captured bytes of a frame that had length bytes on the wire, with comments
// for the reader of the file. Its link type is that of NewWriter. Times before 1970 become 1970.
func (c *Writer) WritePacket(t time.Time, frame []byte, length int, comments ...string) error {
	return c.WriteFrame(c.links[0], t, frame, length, comments...)
}

// WriteFrame is WritePacket for a frame of any link type.
func (c *Writer) WriteFrame(link LinkType, t time.Time, frame []byte, length int, comments ...string) error {
	if len(frame) > maxCaptured {
		return fmt.Errorf("write packet: captured length %d is over the limit of %d", len(frame), maxCaptured)
	}
	stamp := uint64(0)
	if t.Unix() >= 0 {
		stamp = uint64(t.Unix())*uint64(time.Second/c.unit) + uint64(t.Nanosecond())/uint64(c.unit)
	}
	number := c.interfaceOf(link)
	start := c.open(blockEnhancedPacket)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, number)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(stamp>>32))
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(stamp))
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(len(frame)))
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(max(length, len(frame))))
	c.buf = append(c.buf, frame...)
	c.pad()
	for _, comment := range comments {
		c.option(optComment, comment)
	}
	if len(comments) > 0 {
		c.option(optEnd, "")
	}
	c.close(start)
	return c.flush()
}

// open appends the head of a block. Its place goes to close, which fills in the length.
func (c *Writer) open(kind uint32) (start int) {
	start = len(c.buf)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, kind)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, 0)
	return start
}

func (c *Writer) close(start int) {
	length := uint32(len(c.buf) - start + 4)
	c.buf = binary.LittleEndian.AppendUint32(c.buf, length)
	binary.LittleEndian.PutUint32(c.buf[start+4:], length)
}

// option appends an option; a value over 65535 bytes is cut.
func (c *Writer) option(code uint16, value string) {
	value = value[:min(len(value), math.MaxUint16)]
	c.buf = binary.LittleEndian.AppendUint16(c.buf, code)
	c.buf = binary.LittleEndian.AppendUint16(c.buf, uint16(len(value)))
	c.buf = append(c.buf, value...)
	c.pad()
}

func (c *Writer) pad() {
	for len(c.buf)%4 != 0 {
		c.buf = append(c.buf, 0)
	}
}

func (c *Writer) flush() error {
	_, err := c.w.Write(c.buf)
	c.buf = c.buf[:0]
	if err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}
