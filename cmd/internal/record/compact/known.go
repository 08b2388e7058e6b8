package compact

import (
	"bytes"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// AppendOpening appends the part of an opening that records have; nil is none. Behind the message
// of a flow it makes one for ReadKnown.
func AppendOpening(b []byte, o *record.Opening) []byte {
	c := coder{b: b}
	optional(&c, &o, c.opening)
	return c.b
}

// ReadKnown returns the item of a message that was kept. Behind a flow stands its opening, which
// the item has then, too: the message that crosses names that by its ID alone.
func ReadKnown(message []byte) (Item, error) {
	var i Item
	c := coder{b: bytes.Clone(message), reading: true}
	if c.item(&i); c.err == nil && i.Flow != nil {
		c.openingOf(&i.Flow.Flow)
	}
	if c.err == nil && len(c.b) > 0 {
		c.fail("%d bytes too many", len(c.b))
	}
	if c.err != nil {
		return Item{}, c.err
	}
	return i, nil
}

func (c *coder) openingOf(f *flow.Flow) {
	var o *record.Opening
	optional(c, &o, c.opening)
	if o == nil {
		return
	}
	if f.Datagram != nil {
		f.Datagram.Opening = o
	} else {
		f.Opening = o
	}
}
