package inspect

import "syntap/tun/flow"

// Said is the names that a client's first bytes say, for a decision on whether they may pass.
type Said struct {
	Hello *flow.Hello
	Host  string // of an HTTP/1 request

	// Need is 0 if more bytes say no more. Otherwise the bytes end too early, and a call with fewer
	// than Need of them finds nothing either. Above MaxClient the name may stand in bytes that are
	// not looked at.
	Need int

	// Unclear is that a server may read a name in the bytes that is not here.
	Unclear bool
}

// Strict reads the first bytes of a client as Client does. Where Client takes bytes for a protocol
// without a name, Strict says whether any server may read one.
func Strict(b []byte) (s Said) {
	b, skipped := skipRequests(b)
	switch {
	case isPartOfRequest(b):
		s.Need = len(b) + 1
	case b[0] == recordHandshake:
		s.readRecords(b)
	default:
		s.Host, s.Need = httpHost(b)
	}
	if s.Need > 0 {
		s.Need += skipped
	}
	return s
}

// readRecords is for bytes that begin like a record of TLS. One of version 3 is one (RFC 8446 §5.1).
func (s *Said) readRecords(b []byte) {
	var body []byte
	body, s.Need = clientHello(b)
	s.Hello = parseHello(body)
	s.Unclear = s.Need == 0 && s.Hello == nil && b[1] == 3
}
