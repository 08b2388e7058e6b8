package inspect

// Lengths of a domain name. A byte is up to four characters in presentation form.
const (
	maxNameWire = 255 // bytes, with the final zero (RFC 1035 §2.3.4)
	maxNameText = 4 * maxNameWire
)

// specialInName are the characters that a name in presentation form escapes, as BIND does
// (RFC 1035 §5.1).
const specialInName = ` ."();`

// appendName appends the name at off to dst: in presentation form, in lower case and without its
// final dot; the root is ".". end is the offset of the byte behind it.
//
// A pointer (RFC 1035 §4.1.4) leads to a name before the one that it stands in, so it ends no
// message in a loop.
func (m wire) appendName(dst []byte, off int) (text []byte, end int, ok bool) {
	begin, size := len(dst), 1
	for first := off; off < len(m); {
		n := int(m[off])
		switch {
		case n == 0:
			if len(dst) == begin {
				dst = append(dst, '.')
			}
			lower(dst[begin:])
			return dst, max(end, off+1), true
		case n < 64:
			if size += 1 + n; size > maxNameWire || off+1+n > len(m) {
				return nil, 0, false
			}
			if len(dst) > begin {
				dst = append(dst, '.')
			}
			dst = appendText(dst, m[off+1:off+1+n], specialInName)
			off += 1 + n
		case n >= 0xc0 && off+1 < len(m):
			to := (n&0x3f)<<8 | int(m[off+1])
			if to >= first {
				return nil, 0, false
			}
			end = max(end, off+2) // of the first pointer: others are before it
			off, first = to, to
		default:
			return nil, 0, false
		}
	}
	return nil, 0, false
}

// skipName returns the offset of the byte behind the name at off.
func (m wire) skipName(off int) (end int, ok bool) {
	for off < len(m) {
		switch n := int(m[off]); {
		case n == 0:
			return off + 1, true
		case n < 64:
			off += 1 + n
		case n >= 0xc0:
			return off + 2, off+2 <= len(m)
		default:
			return 0, false
		}
	}
	return 0, false
}
