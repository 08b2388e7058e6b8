//go:build linux

package keeper

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync/atomic"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/owner"
)

// command is all that the keeper of exec has for its routers besides.
type command struct {
	*Execution
	hosts     hostfile.Hosts
	known     []netip.Addr         // nameservers of this host at the start
	virtual   *message.VirtualPool // of the next router; nil = names have no virtual addresses
	network   *owner.Network
	dns       []*os.File // at which routers answer the command's DNS queries, with virtual
	redirects atomic.Pointer[namespace.Redirects]
}

// routing returns all that a router of exec gets besides, and the files that come along.
func (c *command) routing() (*message.CommandRouting, []*os.File) {
	o := &message.CommandRouting{
		Redirects: c.redirects.Load(), Others: c.Redirect, Virtual: c.virtual,
		Attempts: c.Attempted != nil, Responses: c.Resolved != nil,
	}
	if c.virtual != nil {
		c.virtual = c.virtual.Next()
	}
	if c.network == nil {
		return o, c.dns
	}
	files := c.network.Files()
	o.Network, o.Device = len(files), c.network.Device()
	return o, slices.Concat(c.dns, files)
}

// keepsNameservers reports whether the command asks the nameservers of the start to the end. One of
// root may write the files that name them, and with a server of its own any name leads anywhere.
func (c *command) keepsNameservers() bool { return os.Geteuid() == 0 && c.Config.Egress.HasRules() }

// nameservers returns those of this host, at other machines.
func (k *keeper) nameservers() []netip.Addr {
	if k.command != nil && k.command.keepsNameservers() {
		return k.command.known
	}
	return hostfile.Nameservers()
}

// needsOwners reports whether programs are looked for.
func (c *command) needsOwners() bool {
	return c.Config.HTTP.Listen != "" || c.Attempted != nil || c.Log.NamesOwners() || c.Config.Egress.NeedsOwners()
}

// surroundings returns those in which routers are started.
func (k *keeper) surroundings() surroundings {
	switch {
	case k.command != nil:
		return apart
	case k.alone:
		return alone
	}
	return beside
}

// redirect tells routers of other redirects.
func (k *keeper) redirect(r *namespace.Redirects) {
	r = numbered(r)
	k.command.redirects.Store(r)
	if c := k.router.Load(); c != nil {
		_ = c.send(message.Order{Redirects: r}) // the next router is told at its start
	}
}

// numbered returns the redirects with the numbers of interfaces instead of their names, which a
// router in another network does not know.
func numbered(r *namespace.Redirects) *namespace.Redirects {
	number := func(a netip.Addr) netip.Addr {
		if link, err := net.InterfaceByName(a.Zone()); err == nil {
			return a.WithZone(strconv.Itoa(link.Index))
		}
		return a
	}
	n := &namespace.Redirects{Nameservers: make(map[netip.Addr]netip.Addr), Loopback: r.Loopback}
	for _, server := range r.Order {
		n.Order = append(n.Order, netip.AddrPortFrom(number(server.Addr()), server.Port()))
	}
	for from, to := range r.Nameservers {
		n.Nameservers[from] = number(to)
	}
	return n
}

// hear takes the words of a router about the command.
func (c *command) hear(words []byte) error {
	var t message.Told
	if err := json.Unmarshal(words, &t); err != nil {
		return fmt.Errorf("read of an attempt: %w", err)
	}
	if t.Attempt != nil && c.Attempted != nil {
		c.Attempted(t.Attempt)
	}
	if t.Response != nil && c.Resolved != nil {
		c.Resolved(t.Owner, t.Response)
	}
	return nil
}

// namesAreVirtual reports whether the command of exec knows servers by virtual addresses.
func namesAreVirtual(c *config.Config) bool {
	switch c.Egress.Names {
	case config.NamesVirtual:
		return true
	case config.NamesAuto:
		return c.Egress.HasNames()
	case config.NamesDNS, config.NamesOff:
	}
	return false
}
