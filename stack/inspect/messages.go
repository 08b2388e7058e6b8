package inspect

import "encoding/binary"

// maxMessage is the number of bytes of a DNS message over TCP that are kept and read; the rest is
// skipped.
const maxMessage = 16 << 10

// Messages extracts the DNS messages of one direction of a TCP connection, where each follows its
// length (RFC 1035 §4.2.2). It keeps bytes of an incomplete message only.
type Messages struct {
	kept []byte // the length and the message, up to maxMessage bytes of it
	skip int    // bytes still to come of a message that is longer
}

// Kept returns the bytes of memory of an incomplete message.
func (s *Messages) Kept() int { return cap(s.kept) }

// Take reads the next bytes of the direction and calls each for every message that they complete. A
// message is valid only during the call.
func (s *Messages) Take(b []byte, each func(message []byte)) {
	const prefix = 2
	for len(b) > 0 {
		if s.skip > 0 {
			n := min(s.skip, len(b))
			s.skip, b = s.skip-n, b[n:]
			continue
		}
		if len(s.kept) == 0 && len(b) >= prefix {
			if end := prefix + int(binary.BigEndian.Uint16(b)); end <= len(b) {
				each(b[prefix:end])
				b = b[end:]
				continue
			}
		}
		if b = s.keep(b, prefix); len(s.kept) < prefix {
			return
		}
		size := int(binary.BigEndian.Uint16(s.kept))
		want := prefix + min(size, maxMessage)
		if b = s.keep(b, want); len(s.kept) < want {
			return
		}
		each(s.kept[prefix:])
		s.kept, s.skip = nil, size-(want-prefix)
	}
}

// keep keeps bytes of b up to so many in all, and returns the rest.
func (s *Messages) keep(b []byte, limit int) []byte {
	n := min(max(limit-len(s.kept), 0), len(b))
	s.kept = append(s.kept, b[:n]...)
	return b[n:]
}
