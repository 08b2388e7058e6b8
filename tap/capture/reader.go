package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Reader reads the packets of a pcap or pcapng file from front to end. The file may be compressed
// with gzip or zstd.
type Reader struct {
	src     source
	format  format
	packet  Packet
	count   int              // packets returned
	skipped map[LinkType]int // packets of interfaces that cannot be read
	first   error            // the error of the first of them
	err     error
}

// format is the difference between pcap and pcapng: next reads one packet's Time, LinkType, Frame
// and FrameLength.
type format interface {
	next(s *source, p *Packet) error
}

// NewReader reads the head of a capture and finds out its format.
func NewReader(r io.Reader) (*Reader, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	plain, err := decompress(buffered)
	if err != nil {
		return nil, fmt.Errorf("read capture: %w", err)
	}
	c := &Reader{src: source{r: plain}}
	magic, err := c.src.r.Peek(4)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read capture: %w", cutShort(err))
	}
	if len(magic) < 4 {
		return nil, errors.New("read capture: the file ends before its first 4 bytes")
	}
	if isSection(magic) {
		c.format = &ngFile{}
		return c, nil
	}
	if c.format, err = newPcapFile(&c.src, magic); err != nil {
		return nil, fmt.Errorf("read capture: %w", err)
	}
	return c, nil
}

// Next returns the next packet, which stays valid until the next call. The error is io.EOF at the
// end of the file; a file that is cut short or broken gives the packets before the damage, and then
// an error that names the place and wraps io.ErrUnexpectedEOF or a LinkTypeError where that is the
// reason. Errors are final. Packets of a pcapng file's interfaces whose link type is not supported
// are passed over (Skipped), unless the file has no others.
func (r *Reader) Next() (*Packet, error) {
	if p := &r.packet; r.err == nil && p.msdu > 0 {
		p.Part = true
		p.decodeMSDU()
		return p, nil
	}
	for r.err == nil {
		err := r.format.next(&r.src, &r.packet)
		if err == nil {
			err = r.packet.decodeLink()
		}
		if err == nil {
			r.count++
			return &r.packet, nil
		}
		if err != io.EOF {
			err = fmt.Errorf("read packet %d at offset %d: %w", r.number(), r.src.record, err)
		}
		r.err = r.pass(err)
	}
	return nil, r.err
}

// pass returns the error that ends the file, nil if err does not.
func (r *Reader) pass(err error) error {
	var link LinkTypeError
	_, several := r.format.(*ngFile)
	switch {
	case errors.As(err, &link) && several:
		if r.skipped == nil {
			r.skipped, r.first = make(map[LinkType]int), err
		}
		r.skipped[LinkType(link)]++
		return nil
	case err == io.EOF && r.count == 0 && r.first != nil:
		return r.first
	}
	return err
}

// number returns the number of the next packet in the file, from 1.
func (r *Reader) number() int {
	n := r.count + 1
	for _, skipped := range r.skipped {
		n += skipped
	}
	return n
}

// Skipped returns the numbers of packets that were passed over, by link type.
func (r *Reader) Skipped() map[LinkType]int { return r.skipped }
