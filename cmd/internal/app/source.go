//go:build linux

package app

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// hostSources knows the addresses that programs of this host may choose between: where a family has
// several, rules may select by them. The TUN's own are not among them.
type hostSources struct {
	tun []netip.Prefix

	mu     sync.Mutex // guards the fields below
	read   time.Time
	choice map[netip.Addr]bool
}

const hostSourcesAge = time.Second

// contains reports whether an address is one of several.
func (h *hostSources) contains(a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); now.Sub(h.read) > hostSourcesAge {
		if all, err := net.InterfaceAddrs(); err == nil { // else those of before
			h.choice = h.choices(all)
		}
		h.read = now
	}
	return h.choice[a]
}

func (h *hostSources) choices(all []net.Addr) map[netip.Addr]bool {
	var families [2][]netip.Addr
	for _, n := range all {
		p, err := netip.ParsePrefix(n.String())
		if err != nil {
			continue
		}
		a := p.Addr().Unmap()
		if a.IsLoopback() || a.IsLinkLocalUnicast() || slices.ContainsFunc(h.tun, func(t netip.Prefix) bool { return t.Contains(a) }) {
			continue
		}
		i := 0
		if a.Is6() {
			i = 1
		}
		families[i] = append(families[i], a)
	}
	choice := make(map[netip.Addr]bool)
	for _, addrs := range families {
		for _, a := range addrs {
			choice[a] = len(addrs) > 1
		}
	}
	return choice
}
