//go:build linux

package netstack

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// SetKeepalive has netstack probe a client that is silent for idle, each interval, and reset it
// after so many probes without an answer.
func SetKeepalive(ep tcpip.Endpoint, idle, interval time.Duration, probes int) {
	i, v := tcpip.KeepaliveIdleOption(idle), tcpip.KeepaliveIntervalOption(interval)
	_ = ep.SetSockOpt(&i) // these are always accepted
	_ = ep.SetSockOpt(&v)
	_ = ep.SetSockOptInt(tcpip.KeepaliveCountOption, probes)
	ep.SocketOptions().SetKeepAlive(true)
}
