//go:build linux

package router

import (
	"net/netip"

	"syntap/stack"
	"syntap/tap/policy"
	"syntap/tun/packet"
)

// sizeSockets has the rules in force hold for the host sockets of a stack too. Its route MTUs come
// from the stack itself.
func sizeSockets(o *stack.Options, rules func() *policy.Rules,
	pathMTU func(client, server netip.AddrPort) packet.MTU,
) {
	o.MSS = func(client, server netip.AddrPort) packet.MSS {
		mtu := func() packet.MTU { return pathMTU(client, server) }
		return rules().UpstreamMSS(client, server, mtu)
	}
	o.DF = func(client, server netip.AddrPort) packet.DF { return rules().UpstreamDF(client, server) }
}
