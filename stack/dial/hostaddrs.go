//go:build linux

package dial

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// HostAddrs are the addresses that the host takes for its own, by the word of its kernel: those to
// which packets of a socket with the mark are delivered here. Those of interfaces are among them,
// whole prefixes of local routes (AnyIP), and the subnet-router anycast addresses of IPv6 (RFC 4291
// §2.6.1). The zero value is ready, for sockets without mark.
type HostAddrs struct {
	Mark uint32

	known sync.Map     // of hostAddr by netip.Addr: the packet path of several shards reads it
	many  atomic.Int32 // in known

	mu     sync.Mutex // guards kernel
	kernel routeAsker
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
	now := time.Now()
	if k, ok := h.known.Load(a); ok {
		if k := k.(hostAddr); now.Sub(k.asked) < hostAddrAge {
			return k.own
		}
	}
	h.mu.Lock()
	own := h.kernel.isOwn(a, h.Mark)
	h.mu.Unlock()
	if h.many.Load() >= maxHostAddrs {
		h.known.Clear()
		h.many.Store(0)
	}
	if _, again := h.known.Swap(a, hostAddr{own, now}); !again {
		h.many.Add(1)
	}
	return own
}
