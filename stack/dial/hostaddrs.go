//go:build linux

package dial

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// HostAddrs are the host's own addresses, according to its kernel: those whose packets, sent by a
// socket with the mark, are delivered locally. They include addresses of interfaces, whole prefixes
// of local routes (AnyIP), and the subnet-router anycast addresses of IPv6 (RFC 4291 §2.6.1). The
// zero value is ready for sockets without mark.
type HostAddrs struct {
	Mark uint32
	// Sockets makes the socket by which the kernel is asked; nil = this process does.
	Sockets Sockets

	known sync.Map     // of hostAddr by netip.Addr: the packet path of several shards reads it
	many  atomic.Int32 // in known

	mu     sync.Mutex // guards kernel
	kernel routeAsker
}

type hostAddr struct {
	own   bool
	asked time.Time
}

// Close closes the descriptor for queries to the kernel. The next query opens another one.
func (h *HostAddrs) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kernel.close()
}

// The kernel's answer about an address is valid for hostAddrAge. At most maxHostAddrs answers are
// kept.
const (
	hostAddrAge  = time.Second
	maxHostAddrs = 4096
)

// Contains reports whether the address is one of them. If the kernel cannot be asked, it returns
// true: a needless denial is better than a missing one.
func (h *HostAddrs) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	now := time.Now()
	if k, ok := h.known.Load(a); ok {
		if k := k.(hostAddr); now.Sub(k.asked) < hostAddrAge {
			return k.own
		}
	}
	h.mu.Lock()
	own := h.kernel.isOwn(a, h.Mark, h.Sockets)
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
