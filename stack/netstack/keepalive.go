//go:build linux

package netstack

import (
	"reflect"
	"time"
	"unsafe"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
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

// ProbeClient has netstack send a client a keepalive probe at once, unless it waits for an
// acknowledgment of the client. idle is that of the endpoint, and counts anew. Where the client
// does not answer, SetKeepalive has netstack forget the probe.
func ProbeClient(ep tcpip.Endpoint, idle time.Duration) {
	now := tcpip.KeepaliveIdleOption(time.Millisecond)
	_ = ep.SetSockOpt(&now) // starts the timer, and so would the next
	e := ep.(*tcp.Endpoint)
	e.LockUser()
	defer e.UnlockUser()
	*(*time.Duration)(unsafe.Add(unsafe.Pointer(e), keepaliveIdleAt)) = idle
}

// keepaliveIdleAt is the place of the idle time in the endpoint. Netstack reads it with the
// endpoint's lock held.
var keepaliveIdleAt = func() uintptr {
	keepalive, ok := reflect.TypeFor[tcp.Endpoint]().FieldByName("keepalive")
	if ok {
		if idle, ok := keepalive.Type.FieldByName("idle"); ok && idle.Type == reflect.TypeFor[time.Duration]() {
			return keepalive.Offset + idle.Offset
		}
	}
	panic("netstack: tcp.Endpoint has no field keepalive.idle any more")
}()
