package inspect

import (
	"bytes"
	"encoding/binary"
)

// preface is what a client sends ahead of its protocol: a PROXY header
// (haproxy.org/download/3.0/doc/proxy-protocol.txt), or a PostgreSQL client's requests for TLS, or
// for GSSAPI and then for TLS.
type preface struct {
	size    int
	asks    bool // an answer of the server is expected to it
	unclear bool // it says a name itself, or servers may see its end elsewhere
	more    int  // another part begins behind it, and needs so many bytes; 0 = none does
}

var (
	sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}
	gssRequest = []byte{0, 0, 0, 8, 4, 210, 22, 48}

	proxyV1 = []byte("PROXY ")
	proxyV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// IsPreface reports whether the first bytes of a client are a preface of its protocol, which says
// no name. The client may wait for the server then; asks is that it does, before it says a name.
func IsPreface(b []byte) (is, asks bool) {
	p := prefaceOf(b)
	return p.size > 0 && p.size == len(b) && !p.unclear, p.asks
}

// prefaceOf returns the preface in the first bytes of a client.
func prefaceOf(b []byte) (p preface) {
	for {
		rest := b[p.size:]
		switch {
		case bytes.HasPrefix(rest, sslRequest), bytes.HasPrefix(rest, gssRequest):
			p.size, p.asks = p.size+len(sslRequest), true
			continue
		case bytes.HasPrefix(rest, proxyV1):
			line, after, ok := bytes.Cut(rest, []byte("\n"))
			if ok && versions(line) == 0 {
				p.size = len(b) - len(after)
				p.unclear = p.unclear || bytes.IndexByte(line, '\r') != len(line)-1
				continue
			}
		case bytes.HasPrefix(rest, proxyV2):
			size, named := proxyHeader(rest)
			if size > 0 && size <= len(rest) {
				p.size, p.unclear = p.size+size, p.unclear || named
				continue
			}
			p.more = size
		case isPartOf(rest, sslRequest), isPartOf(rest, gssRequest), isPartOf(rest, proxyV2):
			p.more = len(rest) + 1
		}
		return p
	}
}

// isPartOf reports whether b is the beginning of a part of a preface, or empty.
func isPartOf(b, part []byte) bool { return bytes.HasPrefix(part, b) }

// proxyHeader reads a header of version 2: its size, which may be beyond b, and whether it says the
// name that the client has asked a proxy for (§2.2.2). The size is 0 where it has another version.
func proxyHeader(b []byte) (size int, named bool) {
	const fixed = 16
	if len(b) < fixed {
		return fixed, false
	}
	if b[12]>>4 != 2 {
		return 0, false
	}
	size = fixed + int(binary.BigEndian.Uint16(b[14:]))
	if len(b) < size {
		return size, false
	}
	addresses := [16]int{1: 12, 2: 36, 3: 216}[b[13]>>4] // IPv4, IPv6, Unix
	return size, hasAuthority(b[min(fixed+addresses, size):size])
}

// hasAuthority reports whether one of some TLVs is a name.
func hasAuthority(tlvs []byte) bool {
	const (
		authority = 2 // PP2_TYPE_AUTHORITY
		prefix    = 3 // type and length
	)
	for len(tlvs) >= prefix {
		if tlvs[0] == authority {
			return true
		}
		tlvs = tlvs[min(len(tlvs), prefix+int(binary.BigEndian.Uint16(tlvs[1:]))):]
	}
	return false
}
