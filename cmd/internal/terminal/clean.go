// Package terminal writes text of unknown origin so that a terminal shows it and does nothing else:
// names of processes and files, logs that others have written, answers of a server. Escape
// sequences move the cursor, change titles and colours, and have some terminals type; marks of
// direction (Unicode TR9) show text in another order than it has.
package terminal

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Clean returns s as one line of printable text. Characters that are not printable, and bytes that
// are no UTF-8, stand there as Go and C write them: \x1b, \n, \u202e. A backslash stays as it is.
func Clean(s string) string { return clean(s, "") }

// CleanLines is Clean for text that may have several lines: line feeds and tabs stay.
func CleanLines(s string) string { return clean(s, "\n\t") }

func clean(s, kept string) string {
	if isPlain(s) {
		return s
	}
	safe := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) || strings.ContainsRune(kept, r) }
	if strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case safe(r):
			b = append(b, s[:size]...)
		case r == utf8.RuneError && size == 1:
			b = appendHex(append(b, `\x`...), rune(s[0]), 2)
		default:
			b = appendRune(b, r)
		}
		s = s[size:]
	}
	return string(b)
}

// isPlain reports whether s is printable ASCII, as nearly all text is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// CleanJSON is Clean for JSON in UTF-8, which means the same after it: a character that is not
// printable in a string stands there as \u202e, and between values as a space. A line feed at the
// end stays. Bytes that are no UTF-8 become \ufffd.
func CleanJSON(json []byte) []byte {
	text, feed := bytes.CutSuffix(json, []byte("\n"))
	b := make([]byte, 0, len(json)+16)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r != utf8.RuneError && unicode.IsPrint(r):
			b = append(b, text[:size]...)
		case r < ' ': // never in a string
			b = append(b, ' ')
		default:
			for _, unit := range utf16.AppendRune(nil, r) {
				b = appendHex(append(b, `\u`...), rune(unit), 4)
			}
		}
		text = text[size:]
	}
	if feed {
		b = append(b, '\n')
	}
	return b
}

// appendRune appends a rune that is not printable.
func appendRune(b []byte, r rune) []byte {
	switch {
	case r == '\n':
		return append(b, `\n`...)
	case r == '\r':
		return append(b, `\r`...)
	case r == '\t':
		return append(b, `\t`...)
	case r < 0x80:
		return appendHex(append(b, `\x`...), r, 2)
	case r < 0x10000:
		return appendHex(append(b, `\u`...), r, 4)
	default:
		return appendHex(append(b, `\U`...), r, 8)
	}
}

func appendHex(b []byte, r rune, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[r>>shift&15])
	}
	return b
}
