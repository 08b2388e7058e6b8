package route

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxOpenFlows bounds the connections that are noted. Beyond it, connection tracking knows those
// whose packets it has seen.
const maxOpenFlows = 1 << 16

// openFlows returns the TCP connections of this host that may send: all except those in TIME-WAIT.
func openFlows() []flow {
	seen := make(map[flow]bool)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := netlink.SocketDiagTCP(family)
		if err != nil {
			continue // connection tracking alone knows open connections
		}
		for _, s := range sockets {
			if f, ok := openFlow(s); ok && len(seen) < maxOpenFlows {
				seen[f] = true
			}
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// openFlow returns the connection of a socket, if it has one that leaves this host.
func openFlow(s *netlink.Socket) (f flow, ok bool) {
	const timeWait, closed, listen = 6, 7, 10 // include/net/tcp_states.h
	if slices.Contains([]uint8{timeWait, closed, listen}, s.State) {
		return f, false
	}
	local, ok := netip.AddrFromSlice(s.ID.Source)
	remote, ok2 := netip.AddrFromSlice(s.ID.Destination)
	local, remote = local.Unmap(), remote.Unmap()
	if !ok || !ok2 || remote.IsUnspecified() || remote.IsLoopback() {
		return f, false
	}
	return flow{
		netip.AddrPortFrom(local, s.ID.SourcePort),
		netip.AddrPortFrom(remote, s.ID.DestinationPort),
	}, true
}
