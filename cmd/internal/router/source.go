//go:build linux

package router

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// hostSources knows the addresses that programs of this host may choose between: where a family has
// several, rules may select by them. The TUN's own are not among them.
type hostSources struct {
	tun []netip.Prefix

	last atomic.Pointer[hostChoices] // that were read; no reader waits for another
}

// hostChoices are the addresses of which a program has had the choice at a time.
type hostChoices struct {
	read   time.Time
	choice map[netip.Addr]bool
}

const hostSourcesAge = time.Second

// contains reports whether an address is one of several.
func (h *hostSources) contains(a netip.Addr) bool {
	last := h.last.Load()
	if now := time.Now(); last == nil || now.Sub(last.read) > hostSourcesAge {
		next := &hostChoices{read: now}
		if all, err := net.InterfaceAddrs(); err == nil {
			next.choice = h.choices(all)
		} else if last != nil {
			next.choice = last.choice
		}
		h.last.Store(next)
		last = next
	}
	return last.choice[a]
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
