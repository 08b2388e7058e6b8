//go:build linux

package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip"

	"syntap/stack/dial"
)

// keepAlive has netstack find out whether a silent client is still there, as the kernel does for the far side.
func keepAlive(ep tcpip.Endpoint) {
	idle, interval := tcpip.KeepaliveIdleOption(dial.KeepaliveIdle), tcpip.KeepaliveIntervalOption(dial.KeepaliveInterval)
	_ = ep.SetSockOpt(&idle) // these are always accepted
	_ = ep.SetSockOpt(&interval)
	_ = ep.SetSockOptInt(tcpip.KeepaliveCountOption, dial.KeepaliveCount)
	ep.SocketOptions().SetKeepAlive(true)
}
