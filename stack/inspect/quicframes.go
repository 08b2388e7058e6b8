package inspect

// Frames that a client's Initial packets may have (RFC 9000 §12.4).
const (
	framePadding = 0x00
	framePing    = 0x01
	frameACK     = 0x02
	frameACKECN  = 0x03
	frameCrypto  = 0x06
)

// cryptoStream puts the bytes of CRYPTO frames (RFC 9000 §19.6) in order.
type cryptoStream struct {
	b     []byte
	known []bool // which bytes of b have come
	whole int    // bytes at the beginning that have all come
}

// size returns the bytes of memory that the stream takes.
func (s *cryptoStream) size() int { return cap(s.b) + cap(s.known) }

// prefix returns the bytes at the beginning of the stream that have all come.
func (s *cryptoStream) prefix() []byte { return s.b[:s.whole] }

// addFrames reads the frames of a packet. It reports false if the stream cannot be trusted: a byte
// came twice and differed, or lies beyond MaxClient.
func (s *cryptoStream) addFrames(payload []byte) bool {
	r := reader{b: payload}
	for len(r.b) > 0 {
		switch r.number(1) {
		case framePadding, framePing:
		case frameACK:
			skipACK(&r, 0)
		case frameACKECN:
			skipACK(&r, 3)
		case frameCrypto:
			offset := r.varint()
			if data := r.take(r.varint()); !s.add(offset, data) {
				return false
			}
		default: // a close, or a frame that no Initial packet has
			return true
		}
	}
	return true
}

// skipACK skips an ACK frame (RFC 9000 §19.3) with so many ECN counts.
func skipACK(r *reader, counts int) {
	r.varint() // largest acknowledged
	r.varint() // delay
	ranges := r.varint()
	r.varint() // first range
	for i := 0; i < ranges && !r.bad; i++ {
		r.varint()
		r.varint()
	}
	for range counts {
		r.varint()
	}
}

// add puts data at offset.
func (s *cryptoStream) add(offset int, data []byte) bool {
	end := offset + len(data)
	if end > MaxClient {
		return false
	}
	if n := end - len(s.b); n > 0 {
		s.b = append(s.b, make([]byte, n)...)
		s.known = append(s.known, make([]bool, n)...)
	}
	for i, c := range data {
		at := offset + i
		if s.known[at] && s.b[at] != c {
			return false
		}
		s.b[at], s.known[at] = c, true
	}
	for s.whole < len(s.known) && s.known[s.whole] {
		s.whole++
	}
	return true
}
