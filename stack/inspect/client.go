package inspect

import (
	"bytes"

	"syntap/tun/flow"
)

// MaxClient is how many of a client's first bytes are looked at.
const MaxClient = 16 << 10

// Client reads the first bytes that a client sends over TCP: a TLS ClientHello, or the host of an
// HTTP/1 request (RFC 9112 §3.2). Both are empty where the bytes are something else.
//
// need is 0 if more bytes say no more. Otherwise the bytes end too early, and a call with fewer
// than need of them finds nothing either.
func Client(b []byte) (hello *flow.Hello, host string, need int) {
	b, skipped := skipRequests(b)
	switch {
	case isPartOfRequest(b):
		need = len(b) + 1
	case recordFirst <= b[0] && b[0] <= recordLast:
		var body []byte
		body, need, _ = clientHello(b)
		hello = parseHello(body)
	default:
		host, need = httpHost(b)
	}
	if need += skipped; need == skipped || need > MaxClient {
		need = 0
	}
	return hello, host, need
}

// AwaitsServer reports whether the client that has sent these first bytes waits for an answer
// before it says a name.
func AwaitsServer(b []byte) bool {
	rest, skipped := skipRequests(b)
	return skipped > 0 && len(rest) == 0
}

// A PostgreSQL client asks for TLS, or for GSSAPI and then for TLS, before its ClientHello.
var (
	sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}
	gssRequest = []byte{0, 0, 0, 8, 4, 210, 22, 48}
)

// skipRequests returns b behind such requests, and how many bytes these have.
func skipRequests(b []byte) (rest []byte, skipped int) {
	rest = b
	for bytes.HasPrefix(rest, sslRequest) || bytes.HasPrefix(rest, gssRequest) {
		rest = rest[len(sslRequest):]
	}
	return rest, len(b) - len(rest)
}

// isPartOfRequest reports whether b is the beginning of such a request, or empty.
func isPartOfRequest(b []byte) bool {
	return bytes.HasPrefix(sslRequest, b) || bytes.HasPrefix(gssRequest, b)
}
