//go:build linux

package app

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"syntap/stack/names"
)

// neighbors tells machines on the host's links by their link-layer address: a machine may ask its
// resolver by IPv4 and connect by IPv6, where it has new addresses every day (RFC 8981).
//
// The kernel has seen the client's address before the client's first packet passes: to send that,
// the client has asked for the router's link-layer address and given its own (RFC 826, RFC 4861
// §7.2.3). A client behind another router has none here.
type neighbors struct {
	mu     sync.Mutex // guards the fields below
	byAddr map[netip.Addr]names.Client
	four   map[names.Client]fourth
}

// fourth is the IPv4 address of a machine. A link-layer address with several at a time is that of a
// repeater or of a proxy for other machines, and identifies none.
type fourth struct {
	addr   netip.Addr
	noted  time.Time
	shared bool
}

const (
	// maxNeighbors bounds the addresses that are kept. The kernel keeps 1024 by default.
	maxNeighbors = 16384
	// leaseAge is the time after which another IPv4 address is the machine's next one.
	leaseAge = 10 * time.Minute
)

// machine returns the machine that has an address.
func (n *neighbors) machine(a netip.Addr) names.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c, ok := n.byAddr[a]; ok && !n.four[c].shared {
		return c
	}
	return names.Machine(a)
}

// note takes an entry of the kernel's table. One that the kernel deletes is kept: the address is
// likely to stay the machine's.
func (n *neighbors) note(e *netlink.Neigh, now time.Time) {
	const valid = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE |
		netlink.NUD_PERMANENT
	a, ok := netip.AddrFromSlice(e.IP)
	if !ok || e.State&valid == 0 || len(e.HardwareAddr) == 0 {
		return
	}
	a = a.Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byAddr == nil || len(n.byAddr) >= maxNeighbors {
		n.byAddr, n.four = make(map[netip.Addr]names.Client), make(map[names.Client]fourth)
	}
	c := names.Neighbor(e.LinkIndex, e.HardwareAddr)
	n.byAddr[a] = c
	if !a.Is4() {
		return
	}
	f := n.four[c]
	if f.addr != a {
		f.shared = f.addr.IsValid() && now.Sub(f.noted) < leaseAge
	}
	f.addr, f.noted = a, now
	n.four[c] = f
}

// follow keeps up with the kernel's table until ctx ends. It returns an error where the kernel does
// not tell; when it has told more than could be read, follow begins anew.
func (n *neighbors) follow(ctx context.Context) error {
	const again = time.Second
	for ctx.Err() == nil {
		if err := n.subscribe(ctx); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
	return nil
}

// subscribe reads the table, and changes of it until an error, or until ctx ends.
func (n *neighbors) subscribe(ctx context.Context) (err error) {
	updates, done := make(chan netlink.NeighUpdate), make(chan struct{})
	subscribeErr := netlink.NeighSubscribeWithOptions(updates, done, netlink.NeighSubscribeOptions{
		ListExisting: true, ErrorCallback: func(e error) { err = e },
	})
	if subscribeErr != nil {
		return subscribeErr
	}
	stop := context.AfterFunc(ctx, func() { close(done) })
	for u := range updates {
		if u.Type == unix.RTM_NEWNEIGH {
			n.note(&u.Neigh, time.Now())
		}
	}
	if stop() {
		close(done)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}
