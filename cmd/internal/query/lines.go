package query

import (
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
	"syntap/tap/tcpdump"
)

// appendText appends the text lines of a record; a record that has none adds nothing. asked is
// false where they are not in the notation of the format: records of an older syntap have no
// segments, only the lines of the modern notation.
func appendText(dst []byte, l *record.Line, f Format) (text []byte, asked bool) {
	if f == Classic {
		if text, ok := record.AppendText(dst, l.Raw(record.Segments), tcpdump.Classic); ok {
			return text, true
		}
	}
	before := len(dst)
	record.Strings(l.Raw(record.Lines), func(line []byte) bool {
		if plain(line) {
			dst = append(dst, line...)
		} else {
			dst = append(dst, terminal.Clean(record.Unquote(line))...)
		}
		dst = append(dst, '\n')
		return true
	})
	return dst, f != Classic || len(dst) == before
}

// plain reports whether a string is printed as it stands in a record.
func plain(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}
