//go:build linux

package nat

import (
	"net/netip"
	"time"

	"syntap/stack/dial"
)

// routes remembers the address of this host that the datagrams to each target leave from. It
// belongs to the read loop.
type routes struct {
	kernel *dial.Routes
	known  map[netip.AddrPort]route
	last   route // most datagrams take the route of the one before
}

type route struct {
	target netip.AddrPort
	local  netip.Addr
	asked  time.Duration // on the table's clock
}

// The kernel's answer for a target is valid for routeAge, so that changed routes or addresses take
// effect after that. At most maxRoutes answers are kept; beyond that, all are asked for again.
const (
	routeAge  = time.Second
	maxRoutes = 4096
)

func newRoutes(d *dial.Dialer) *routes {
	return &routes{kernel: d.NewRoutes(), known: make(map[netip.AddrPort]route)}
}

// source returns the address that a datagram to target leaves from at the time now, or an error if
// it cannot leave.
func (r *routes) source(target netip.AddrPort, now time.Duration) (netip.Addr, error) {
	if r.last.target != target {
		r.last = r.known[target]
	}
	if r.last.target == target && now-r.last.asked < routeAge {
		return r.last.local, nil
	}
	local, err := r.kernel.Source(target)
	if err != nil {
		return local, err
	}
	if len(r.known) >= maxRoutes {
		clear(r.known)
	}
	r.last = route{target, local, now}
	r.known[target] = r.last
	return local, nil
}

// forget drops the kernel's answer for a target, and reports whether there was one.
func (r *routes) forget(target netip.AddrPort) bool {
	_, ok := r.known[target]
	delete(r.known, target)
	r.last = route{}
	return ok
}
