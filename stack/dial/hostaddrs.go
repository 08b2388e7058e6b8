//go:build linux

package dial

import (
	"net/netip"
	"sync"
	"time"
)

// HostAddrs are the addresses that the host takes for its own, by the word of its kernel: those to
// which packets of a socket with the mark are delivered here. Those of interfaces are among them,
// whole prefixes of local routes (AnyIP), and the subnet-router anycast addresses of IPv6 (RFC 4291
// §2.6.1). The zero value is ready, for sockets without mark.
type HostAddrs struct {
	Mark uint32

	mu     sync.Mutex // guards the fields below
	kernel routeAsker
	known  map[netip.Addr]hostAddr
}

type hostAddr struct {
	own   bool
	asked time.Time
}

// Close gives the descriptor back by which the kernel is asked. Another one is opened when it is
// asked again.
func (h *HostAddrs) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kernel.close()
}

// The kernel's word on an address holds for hostAddrAge; of maxHostAddrs addresses it is
// remembered.
const (
	hostAddrAge  = time.Second
	maxHostAddrs = 4096
)

// Contains reports whether the address is one of them. Where the kernel cannot be asked it is:
// better a denial too many than one too few.
func (h *HostAddrs) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if k, ok := h.known[a]; ok && now.Sub(k.asked) < hostAddrAge {
		return k.own
	}
	if h.known == nil || len(h.known) >= maxHostAddrs {
		h.known = make(map[netip.Addr]hostAddr)
	}
	own := h.kernel.isOwn(a, h.Mark)
	h.known[a] = hostAddr{own, now}
	return own
}
