package flow

import (
	"fmt"
	"net/netip"
)

// Key identifies one handshake. A client that gives up a sequence number and sends a SYN with
// another one begins a second handshake on the same 4-tuple.
type Key struct {
	Client, Server netip.AddrPort // as the client addressed them
	ISN            uint32         // the client's initial sequence number (RFC 9293 §3.4.1)
}

// String returns the key for messages and tests, such as "192.0.2.1:40000 > 198.51.100.1:80 isn 7".
func (k Key) String() string { return fmt.Sprintf("%v > %v isn %d", k.Client, k.Server, k.ISN) }
