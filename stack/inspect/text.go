package inspect

import "strings"

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
