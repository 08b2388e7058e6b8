//go:build linux

package app

import (
	"net/netip"

	"syntap/stack"
	"syntap/stack/dial"
	"syntap/tap/policy"
	"syntap/tun/packet"
)

// sizeSockets has the rules in force hold for the host sockets of a stack too. Its route MTUs come
// from the stack itself.
func sizeSockets(o *stack.Options, rules func() *policy.Rules, pathMTU func(client, server netip.AddrPort) int) {
	o.MSS = func(client, server netip.AddrPort) int {
		return rules().UpstreamMSS(client, server, func() int { return pathMTU(client, server) })
	}
	o.DF = func(client, server netip.AddrPort) dial.DF {
		switch rules().UpstreamDF(client, server) {
		case packet.SetDF, packet.EnforceDF:
			return dial.SetDF
		case packet.ClearDF:
			return dial.ClearDF
		default:
			return dial.KernelDF
		}
	}
}
