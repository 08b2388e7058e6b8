package peek

import "testing"

func TestAnswerLength(t *testing.T) {
	t.Parallel()
	for b, want := range map[string]uint64{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":               43,
		"HTTP/1.0 200 OK\r\nServer: x\r\ncontent-length:1000000\r\n\r\n":  1000054,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n":                        0, // the head goes on
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n":          0,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n":           0,
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n": 0,
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n":                   0,
		"HTTP/1.\r\n\r\n":      0,
		"SSH-2.0-x\r\n\r\n":    0,
		"":                     0,
		"HTTP/1.1 200\r\n\r\n": 0,
	} {
		if got := AnswerLength([]byte(b)); got != want {
			t.Errorf("%q: %d, want %d", b, got, want)
		}
	}
}
