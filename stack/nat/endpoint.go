//go:build linux

package nat

import "net/netip"

// endpoint is an address and port or, for echoes, an address and identifier.
type endpoint struct {
	netip.AddrPort
	echo bool
}
