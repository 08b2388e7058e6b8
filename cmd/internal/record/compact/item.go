package compact

import (
	"bytes"

	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// Item is one thing that crosses: one of the pointers is set.
type Item struct {
	// ID is that of the opening of a Handshake or Datagram, or the one of a Flow that is over; 0 =
	// none. Each opening has another.
	ID uint64

	Handshake *record.Attributed
	Datagram  *record.AttributedDatagram
	Flow      *record.AttributedFlow
	Finding   *record.Finding
	Segment   *handshake.Segment
	Gap       *record.Gap    // SYNs and datagrams that were kept out, or lost records
	Frames    *record.Frames // the run ends
}

// kinds of items, in the first byte of a message.
const (
	aHandshake = iota + 1
	aDatagram
	aFlow
	aFinding
	aSegment
	aGap
	theFrames
)

func (i *Item) kind() uint8 {
	switch {
	case i.Handshake != nil:
		return aHandshake
	case i.Datagram != nil:
		return aDatagram
	case i.Flow != nil:
		return aFlow
	case i.Finding != nil:
		return aFinding
	case i.Segment != nil:
		return aSegment
	case i.Gap != nil:
		return aGap
	}
	return theFrames
}

// Append appends the message of an item. It returns an error if no record can have such contents.
func Append(b []byte, i *Item) ([]byte, error) {
	c := coder{b: b}
	c.item(i)
	return c.b, c.err
}

// Read returns the item of a message.
func Read(message []byte) (Item, error) {
	var i Item
	c := coder{b: bytes.Clone(message), reading: true}
	if c.item(&i); c.err == nil && len(c.b) > 0 {
		c.fail("%d bytes too many", len(c.b))
	}
	if c.err != nil {
		return Item{}, c.err
	}
	return i, nil
}

func (c *coder) item(i *Item) {
	kind := uint8(0)
	if !c.reading {
		kind = i.kind()
	}
	c.u8(&kind)
	c.u64(&i.ID)
	switch kind {
	case aHandshake:
		some(c, &i.Handshake, c.attributed)
	case aDatagram:
		some(c, &i.Datagram, c.attributedDatagram)
	case aFlow:
		some(c, &i.Flow, c.attributedFlow)
	case aFinding:
		some(c, &i.Finding, c.finding)
	case aSegment:
		some(c, &i.Segment, c.segment)
	case aGap:
		some(c, &i.Gap, c.gap)
	case theFrames:
		some(c, &i.Frames, func(f *record.Frames) { c.u64(&f.Read); c.u64(&f.Accounted) })
	default:
		c.fail("kind %d", kind)
	}
}

// some is a pointer that is not nil.
func some[T any](c *coder, p **T, value func(*T)) {
	if c.reading {
		*p = new(T)
	}
	value(*p)
}
