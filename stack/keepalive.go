//go:build linux

package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip"

	"syntap/stack/dial"
)

// keepAlive has netstack find out whether a silent client is still there, as the kernel does for
// the far side. Its defaults are Linux's.
func keepAlive(ep tcpip.Endpoint, k dial.Keepalive) {
	if k = k.OrDefault(); k != (dial.Keepalive{}).OrDefault() {
		idle, interval := tcpip.KeepaliveIdleOption(k.Idle), tcpip.KeepaliveIntervalOption(k.Interval)
		_ = ep.SetSockOpt(&idle) // these are always accepted
		_ = ep.SetSockOpt(&interval)
		_ = ep.SetSockOptInt(tcpip.KeepaliveCountOption, k.Probes)
	}
	ep.SocketOptions().SetKeepAlive(true)
}
