//go:build linux

package netstack

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// SetKeepalive makes netstack probe a client after idle of silence, every interval, and reset it
// after so many unanswered probes.
func SetKeepalive(ep tcpip.Endpoint, idle, interval time.Duration, probes int) {
	i, v := tcpip.KeepaliveIdleOption(idle), tcpip.KeepaliveIntervalOption(interval)
	_ = ep.SetSockOpt(&i) // these are always accepted
	_ = ep.SetSockOpt(&v)
	_ = ep.SetSockOptInt(tcpip.KeepaliveCountOption, probes)
	ep.SocketOptions().SetKeepAlive(true)
}
