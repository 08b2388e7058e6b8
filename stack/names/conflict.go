package names

import (
	"net/netip"
	"strings"

	"syntap/tun/flow"
)

// Conflict reports whether a client that knows a server by some names has asked it for another one,
// in the SNI of a ClientHello or in the Host of a request. It returns false if no name is known,
// and for an SNI with ECH, which by design is that of the client-facing server (RFC 9849).
//
// A client may use a relative name, which its resolver has completed from a search list: "web" does
// not contradict web.example.com. Nor does the server's address, which is not a name.
func Conflict(n Names, f *flow.Flow) bool {
	hello := f.Hello
	if hello == nil && f.Datagram != nil && f.Datagram.QUIC != nil {
		hello = f.Datagram.QUIC.Hello
	}
	if hello != nil && !hello.ECH && n.exclude(hello.SNI) {
		return true
	}
	return n.exclude(f.HTTPHost) && !isAddr(f.HTTPHost, f.Server.Addr())
}

// isAddr reports whether a host is an address, as in a URI (RFC 3986 §3.2.2).
func isAddr(host string, a netip.Addr) bool {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	b, err := netip.ParseAddr(host)
	return err == nil && b.Unmap() == a
}

// exclude reports whether a name that a client has said is none of n.
func (n Names) exclude(said string) bool {
	if n.Name == "" || said == "" || means(said, n.Name) {
		return false
	}
	for _, other := range n.Others {
		if means(said, other) {
			return false
		}
	}
	return true
}

// means reports whether said is a name, or the first labels of it.
func means(said, name string) bool {
	return len(said) <= len(name) && name[:len(said)] == said &&
		(len(said) == len(name) || name[len(said)] == '.')
}
