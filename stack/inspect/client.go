package inspect

import "syntap/tun/flow"

// MaxClient is the number of a client's first bytes that are read.
const MaxClient = 16 << 10

// Client reads the first bytes that a client sends over TCP: a TLS ClientHello, or the host of an
// HTTP/1 request (RFC 9112 §3.2). Both are empty if the bytes are something else.
//
// need is 0 if more bytes would add nothing. Otherwise the bytes end too early, and a call with
// fewer than need bytes finds nothing either.
func Client(b []byte) (hello *flow.Hello, host string, need int) {
	p := prefaceOf(b)
	b = b[p.size:]
	switch {
	case p.more > 0:
		need = p.more
	case recordFirst <= b[0] && b[0] <= recordLast:
		var body []byte
		body, need, _ = clientHello(b)
		hello = parseHello(body)
	default:
		host, need = httpHost(b)
	}
	if need += p.size; need == p.size || need > MaxClient {
		need = 0
	}
	return hello, host, need
}
