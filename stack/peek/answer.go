package peek

import (
	"bytes"
	"strconv"
)

// AnswerLength returns the bytes of an answer by HTTP/1 with a body, head and body, of which b is
// the beginning (RFC 9112 §6.2). It is 0 where b does not tell.
func AnswerLength(b []byte) uint64 {
	if !bytes.HasPrefix(b, []byte("HTTP/1.")) {
		return 0
	}
	head, _, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	status, fields, _ := bytes.Cut(head, []byte("\r\n"))
	if !ok || len(status) < len("HTTP/1.1 200") || string(status[8:12]) != " 200" {
		return 0
	}
	for field := range bytes.SplitSeq(fields, []byte("\r\n")) {
		name, value, _ := bytes.Cut(field, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 62)
			if err != nil {
				return 0
			}
			return uint64(len(head)+len("\r\n\r\n")) + n
		}
	}
	return 0
}
