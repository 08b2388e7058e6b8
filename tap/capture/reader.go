package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Reader reads the packets of a pcap or pcapng file from front to end.
type Reader struct {
	src    source
	format format
	packet Packet
	count  int // packets returned
	err    error
}

// format is the difference between pcap and pcapng: next reads one packet's Time, LinkType, Frame
// and FrameLength.
type format interface {
	next(s *source, p *Packet) error
}

// NewReader reads the head of a capture and finds out its format.
func NewReader(r io.Reader) (*Reader, error) {
	c := &Reader{src: source{r: bufio.NewReaderSize(r, 1<<16)}}
	magic, err := c.src.r.Peek(4)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read capture: %w", err)
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
// reason. Errors are final.
func (r *Reader) Next() (*Packet, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.err = r.format.next(&r.src, &r.packet)
	if r.err == nil {
		r.err = r.packet.decodeLink()
	}
	if r.err != nil {
		if r.err != io.EOF {
			r.err = fmt.Errorf("read packet %d at offset %d: %w", r.count+1, r.src.record, r.err)
		}
		return nil, r.err
	}
	r.count++
	return &r.packet, nil
}
