//go:build linux

package router

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"syntap/stack/names"
)

// neighbors tells machines on the host's links by their link-layer address: a machine may ask its
// resolver by IPv4 and connect by IPv6, where it has new addresses every day (RFC 8981).
//
// The kernel knows the link-layer address before the client's first packet passes: to send that,
// the client has asked for the router's and given its own (RFC 826, RFC 4861 §7.2.3). A client
// behind another router has none here.
type neighbors struct {
	ask func(netip.Addr) (link int, address net.HardwareAddr) // the kernel; without one, nil

	mu     sync.Mutex // guards all below
	asked  *rate.Limiter
	byAddr map[netip.Addr]neighbor
	four   map[names.Client]fourth
}

// neighbor is the kernel's word on an address.
type neighbor struct {
	names.Client
	known bool
	asked time.Time
}

// fourth is the IPv4 address of a machine. A link-layer address with several at a time is that of a
// repeater or of a proxy for other machines, and identifies none.
type fourth struct {
	addr   netip.Addr
	asked  time.Time
	shared bool
}

const (
	// neighborAge is how long the kernel's word counts; where it knows none, unknownAge.
	neighborAge, unknownAge = time.Minute, time.Second
	// leaseAge is the time after which another IPv4 address is the machine's next one.
	leaseAge = 10 * time.Minute
	// maxNeighbors bounds the addresses that are kept.
	maxNeighbors = 16384
	// neighborsPerSecond bounds the cost of forged source addresses.
	neighborsPerSecond = 200
)

func newNeighbors(ask func(netip.Addr) (int, net.HardwareAddr)) *neighbors {
	return &neighbors{
		ask: ask, asked: rate.NewLimiter(neighborsPerSecond, neighborsPerSecond),
		byAddr: make(map[netip.Addr]neighbor), four: make(map[names.Client]fourth),
	}
}

// machine returns the machine that has an address.
func (n *neighbors) machine(a netip.Addr, now time.Time) names.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	known, ok := n.byAddr[a]
	age := unknownAge
	if known.known {
		age = neighborAge
	}
	if (!ok || now.Sub(known.asked) >= age) && n.asked.AllowN(now, 1) {
		known = n.find(a, now)
	}
	if known.known && !n.four[known.Client].shared {
		return known.Client
	}
	return names.Machine(a)
}

// find asks the kernel. mu is held.
func (n *neighbors) find(a netip.Addr, now time.Time) neighbor {
	if len(n.byAddr) >= maxNeighbors {
		clear(n.byAddr)
		clear(n.four)
	}
	known := neighbor{asked: now}
	if link, address := n.ask(a); len(address) > 0 {
		known.Client, known.known = names.Neighbor(link, address), true
	}
	n.byAddr[a] = known
	if !known.known || !a.Is4() {
		return known
	}
	f := n.four[known.Client]
	if f.addr != a {
		f.shared = f.addr.IsValid() && now.Sub(f.asked) < leaseAge
	}
	f.addr, f.asked = a, now
	n.four[known.Client] = f
	return known
}

// askKernel returns a function that asks the kernel for the link and the link-layer address of a
// neighbor, by the routes of sockets with a mark. It takes up to 100 microseconds.
func askKernel(mark uint32) func(netip.Addr) (int, net.HardwareAddr) {
	return func(a netip.Addr) (int, net.HardwareAddr) {
		routes, err := netlink.RouteGetWithOptions(a.AsSlice(), &netlink.RouteGetOptions{Mark: mark})
		if err != nil || len(routes) != 1 || routes[0].Gw != nil {
			return 0, nil
		}
		link, family := routes[0].LinkIndex, unix.AF_INET6
		if a.Is4() {
			family = unix.AF_INET
		}
		req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
		req.AddData(&netlink.Ndmsg{Family: uint8(family), Index: uint32(link)})
		req.AddData(nl.NewRtAttr(netlink.NDA_DST, a.AsSlice()))
		answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
		if err != nil || len(answers) != 1 {
			return 0, nil
		}
		entry, err := netlink.NeighDeserialize(answers[0])
		if err != nil || entry.State&(netlink.NUD_INCOMPLETE|netlink.NUD_FAILED|netlink.NUD_NOARP) != 0 {
			return 0, nil
		}
		return link, entry.HardwareAddr
	}
}
