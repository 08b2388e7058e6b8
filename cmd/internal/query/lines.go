package query

import (
	"bytes"

	"syntap/cmd/internal/record"
)

// appendLines appends the text lines of a record; one that has none adds nothing.
func appendLines(dst, line []byte, toClassic bool) []byte {
	at := bytes.Index(line, []byte(record.Lines+"["))
	if at < 0 {
		return dst
	}
	rest := line[at+len(record.Lines)+1:]
	var client []byte
	if toClassic {
		client = endpoint(line)
	}
	for len(rest) > 0 && rest[0] == '"' {
		text := record.Field(rest, "") // a string where it stands
		rest = rest[min(len(rest), 1+len(text)+1):]
		if bytes.IndexByte(text, '\\') >= 0 {
			text = []byte(record.String(text))
		}
		if toClassic {
			dst = appendClassic(dst, text, hasDF(line, bytes.HasPrefix(text, client)))
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

// endpoint returns how the lines begin that the client has sent.
func endpoint(line []byte) []byte {
	src, port := record.Field(line, record.Src), record.Field(line, record.SPort)
	b := make([]byte, 0, 64)
	b = append(b, "IP"...)
	if bytes.IndexByte(src, ':') >= 0 {
		b = append(b, '6')
	}
	b = append(append(append(b, ' '), src...), '.')
	return append(append(b, port...), " > "...)
}

// hasDF reports whether the SYN or the SYN-ACK had the DF bit.
func hasDF(line []byte, client bool) bool {
	member := record.Server
	if client {
		member = record.Client
	}
	at := bytes.Index(line, []byte(member+"{"))
	if at < 0 {
		return false
	}
	offer := line[at:]
	return bytes.Contains(offer[:bytes.IndexByte(offer, '}')+1], []byte(`"df":true`))
}
