package query

import (
	"bytes"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
)

// appendLines appends the text lines of a record; one that has none adds nothing.
func appendLines(dst, line []byte, toClassic bool) []byte {
	var o opening
	if toClassic {
		line = o.read(line)
	}
	at := bytes.Index(line, []byte(record.Lines+"["))
	if at < 0 {
		return dst
	}
	rest := line[at+len(record.Lines)+1:]
	for len(rest) > 0 && rest[0] == '"' {
		text := record.Field(rest, "") // a string where it stands
		rest = rest[min(len(rest), 1+len(text)+1):]
		if !plain(text) {
			text = []byte(terminal.Clean(record.String(text)))
		}
		if toClassic {
			dst = appendClassic(dst, text, o.hasDF(text))
		} else {
			dst = append(dst, text...)
		}
		dst = append(dst, '\n')
		if len(rest) > 0 && rest[0] == ',' {
			rest = rest[1:]
		}
	}
	return dst
}

// plain reports whether a text is shown as it stands in a record.
func plain(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

// opening is what a record has beside its modern lines for the classic ones.
type opening struct {
	src, sport         []byte
	clientDF, serverDF bool // of the SYN and the SYN-ACK
}

// read reads the members before the lines and returns the rest. They stand in a fixed order: to
// look for each behind the one before takes a third of the time.
func (o *opening) read(line []byte) (rest []byte) {
	o.src, rest = record.Next(line, record.Src)
	o.sport, rest = record.Next(rest, record.SPort)
	o.clientDF, rest = readDF(rest, record.Client+"{")
	o.serverDF, rest = readDF(rest, record.Server+"{")
	return rest
}

// readDF reads the DF bit of a SYN or a SYN-ACK.
func readDF(line []byte, member string) (df bool, rest []byte) {
	at := bytes.Index(line, []byte(member))
	if at < 0 {
		return false, line
	}
	offer, rest, _ := bytes.Cut(line[at:], []byte("}"))
	return bytes.Contains(offer, []byte(`"df":true`)), rest
}

// hasDF returns the bit for the sender of a line.
func (o *opening) hasDF(text []byte) bool {
	_, ends, _ := bytes.Cut(text, []byte(" ")) // "IP" or "IP6"
	port, found := bytes.CutPrefix(ends, o.src)
	if port, _, _ = bytes.Cut(port, []byte(" ")); found && len(port) > 0 && bytes.Equal(port[1:], o.sport) {
		return o.clientDF
	}
	return o.serverDF
}
