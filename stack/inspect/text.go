package inspect

import "strings"

// maxHost is the length of a host name above which it is cut, in bytes of payload. Domain names
// have at most 253 characters.
const maxHost = 255

// cut marks text that a bound has shortened.
const cut = "..."

// appendText appends b in printable ASCII. A backslash and the characters of special get a
// backslash in front; a space that is special and bytes that are not printable become \DDD
// (RFC 1035 §5.1).
func appendText(dst, b []byte, special string) []byte {
	for _, c := range b {
		isSpecial := c == '\\' || strings.IndexByte(special, c) >= 0
		switch {
		case isSpecial && c != ' ':
			dst = append(dst, '\\', c)
		case isSpecial, c < ' ', c > '~':
			dst = append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// lower turns the capital letters of ASCII in b into small ones.
func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// hostName returns a host name in lower case, without its final dot.
func hostName(b []byte) string {
	if n := len(b); n > 1 && b[n-1] == '.' {
		b = b[:n-1]
	}
	end := ""
	if len(b) > maxHost {
		b, end = b[:maxHost], cut
	}
	text := appendText(make([]byte, 0, 64), b, " ")
	lower(text)
	return string(text) + end
}
