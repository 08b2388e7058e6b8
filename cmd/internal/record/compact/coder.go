package compact

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// ErrInvalid is the error of a message that no [Append] has written.
var ErrInvalid = errors.New("no record")

// coder appends values to b, or takes them from its front.
type coder struct {
	b       []byte
	reading bool
	began   time.Time // of the record
	err     error     // the first mistake; values that are read after it do not count
}

func (c *coder) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
	}
	c.b = nil
}

// take returns the next n bytes, which are part of the message; zeros behind a mistake.
func (c *coder) take(n int) []byte {
	if n > len(c.b) {
		c.fail("%d bytes are missing", n-len(c.b))
		return make([]byte, n)
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *coder) u8(p *uint8) {
	if c.reading {
		*p = c.take(1)[0]
		return
	}
	c.b = append(c.b, *p)
}

func (c *coder) u16(p *uint16) {
	if c.reading {
		*p = binary.LittleEndian.Uint16(c.take(2))
		return
	}
	c.b = binary.LittleEndian.AppendUint16(c.b, *p)
}

func (c *coder) u32(p *uint32) {
	if c.reading {
		*p = binary.LittleEndian.Uint32(c.take(4))
		return
	}
	c.b = binary.LittleEndian.AppendUint32(c.b, *p)
}

func (c *coder) u64(p *uint64) {
	if c.reading {
		*p = binary.LittleEndian.Uint64(c.take(8))
		return
	}
	c.b = binary.LittleEndian.AppendUint64(c.b, *p)
}

// integer is a number from 0 to most.
func (c *coder) integer(p *int, most int) {
	n := uint64(*p)
	c.u64(&n)
	if c.reading {
		*p = int(n)
	}
	if *p < 0 || *p > most {
		c.fail("a number is %d, of at most %d", *p, most)
	}
}

func (c *coder) duration(p *time.Duration) {
	n := uint64(*p)
	if c.u64(&n); c.reading {
		*p = time.Duration(n)
	}
}

func (c *coder) boolean(p *bool) {
	n := uint8(0)
	if *p {
		n = 1
	}
	c.u8(&n)
	if n > 1 {
		c.fail("a boolean is %d", n)
	}
	if c.reading {
		*p = n == 1
	}
}

// Times are those that an int64 of nanoseconds since 1970 has.
func (c *coder) time(p *time.Time) {
	set := !p.IsZero()
	if c.boolean(&set); !set {
		return
	}
	n := uint64(p.UnixNano())
	c.u64(&n)
	if c.reading {
		*p = time.Unix(0, int64(n)).UTC()
	}
}

// text is a string of at most most bytes; a longer one is written without its end.
func (c *coder) text(p *string, most int) {
	n := uint16(min(len(*p), most))
	c.u16(&n)
	switch {
	case int(n) > most:
		c.fail("a text of %d bytes, of at most %d", n, most)
	case c.reading:
		*p = string(c.take(int(n)))
	default:
		c.b = append(c.b, (*p)[:n]...)
	}
}

// bytes is at most most bytes. What is read is part of the message.
func (c *coder) bytes(p *[]byte, most int) {
	n := uint16(min(len(*p), most))
	c.u16(&n)
	switch {
	case int(n) > most:
		c.fail("%d bytes, of at most %d", n, most)
	case c.reading:
		b := c.take(int(n))
		*p = b[:n:n]
	default:
		c.b = append(c.b, (*p)[:n]...)
	}
}

// addr is an address without a zone, or the zero value.
func (c *coder) addr(p *netip.Addr) {
	family := uint8(0)
	switch {
	case p.Is4():
		family = 4
	case p.Is6():
		family = 6
	}
	c.u8(&family)
	switch {
	case family == 0:
	case family == 4 && c.reading:
		*p = netip.AddrFrom4([4]byte(c.take(4)))
	case family == 6 && c.reading:
		*p = netip.AddrFrom16([16]byte(c.take(16)))
	case c.reading:
		c.fail("an address of family %d", family)
	case family == 4:
		b := p.As4()
		c.b = append(c.b, b[:]...)
	default:
		b := p.As16()
		c.b = append(c.b, b[:]...)
	}
}

func (c *coder) addrPort(p *netip.AddrPort) {
	a, port := p.Addr(), p.Port()
	c.addr(&a)
	c.u16(&port)
	if c.reading {
		*p = netip.AddrPortFrom(a, port)
	}
}

// ends are the two of a connection or flow: addresses of one family.
func (c *coder) ends(client, server *netip.AddrPort) {
	c.addrPort(client)
	c.addrPort(server)
	if a, b := client.Addr(), server.Addr(); !a.IsValid() || a.BitLen() != b.BitLen() {
		c.fail("a connection between %v and %v", a, b)
	}
}

// oneOf is one of some values.
func oneOf[T comparable](c *coder, p *T, values ...T) {
	n := uint8(slices.Index(values, *p)) // 255 where it is none of them
	c.u8(&n)
	switch {
	case int(n) >= len(values):
		c.fail("value %d of %d", n, len(values))
	case c.reading:
		*p = values[n]
	}
}

// upTo is a word of a list by its number.
func upTo[T ~uint8](c *coder, p *T, last T) {
	n := uint8(*p)
	c.u8(&n)
	switch {
	case n > uint8(last):
		c.fail("word %d of %d", n, last)
	case c.reading:
		*p = T(n)
	}
}

// optional is a pointer that may be nil; value writes or reads its target.
func optional[T any](c *coder, p **T, value func(*T)) {
	set := *p != nil
	if c.boolean(&set); !set {
		return
	}
	if c.reading {
		*p = new(T)
	}
	value(*p)
}

// list is at most most elements of at least one byte each. A longer list, or one of more than
// maxList bytes, is written without its end.
func list[T any](c *coder, p *[]T, most int, value func(*T)) {
	if c.reading {
		n := uint16(0)
		if c.u16(&n); int(n) > most || int(n) > len(c.b) {
			c.fail("a list of %d in %d bytes, of at most %d", n, len(c.b), most)
			return
		}
		if n == 0 {
			return
		}
		*p = make([]T, n)
		from := len(c.b)
		for i := range *p {
			if value(&(*p)[i]); c.err != nil {
				return
			}
		}
		if from-len(c.b) > maxList-2 {
			c.fail("a list of %d bytes", from-len(c.b))
		}
		return
	}
	at, n := len(c.b), 0
	c.b = append(c.b, 0, 0)
	for n < min(len(*p), most) {
		before := len(c.b)
		if value(&(*p)[n]); len(c.b)-at > maxList {
			c.b = c.b[:before]
			break
		}
		n++
	}
	binary.LittleEndian.PutUint16(c.b[at:], uint16(n))
}

// maxList bounds the bytes of a list.
const maxList = 128 << 10
