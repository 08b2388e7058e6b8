package main

import (
	"context"
	"errors"
	"fmt"
)

// Addresses of the lab, from documentation ranges (RFC 5737).
const (
	routerAddr = "198.51.100.1"
	farAddr    = "203.0.113.2" // only a route leads to it: through the router, when that has a TUN
	farPort    = "7000"
	bulkPort   = "7001" // of a far end of its own, for a load beside a case
	quicPort   = "7002"
	dnsPort    = "53"
	lan        = "192.0.2.0/24"   // of a gateway's client
	storeAddr  = "127.0.0.1:4318" // of a fleet's records, beside the router
	tunName    = "bench0"
	mark       = 119 // of the routers' own sockets, which a rule keeps out of the TUN
)

// lab is where a trial takes place. A router that makes a namespace for its client finds an empty
// one. The client of a gateway is in a namespace behind lan0, 192.0.2.1, as 192.0.2.2.
//
//	┌─ near: client and router ──────┐        ┌─ far ──────────────┐
//	│ wan0    198.51.100.1/24        ├──veth──┤ eth0 198.51.100.2  │
//	│ bench0  198.18.0.1/30, the TUN │        │ lo   203.0.113.2   │
//	│ default, and mark 119: wan0    │        │                    │
//	│ 203.0.113.0/24: bench0, if any │        │ default: eth0      │
//	└────────────────────────────────┘        └────────────────────┘
type lab struct {
	near, far, client namespace
}

func newLab(ctx context.Context, gateway bool) (*lab, error) {
	var made []namespace
	for range 3 {
		ns, err := newNamespace()
		if err != nil {
			for _, ns := range made {
				ns.close()
			}
			return nil, err
		}
		made = append(made, ns)
	}
	l := &lab{near: made[0], far: made[1], client: made[2]}
	err := l.build(ctx)
	if err == nil && gateway {
		err = l.buildLAN(ctx)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// buildLAN joins the client's namespace to the router's, which forwards for it.
func (l *lab) buildLAN(ctx context.Context) error {
	return errors.Join(
		l.near.ip(ctx, fmt.Sprintf(`
			link add lan0 type veth peer name eth0 netns %s
			address add 192.0.2.1/24 dev lan0
			link set lan0 up`, l.client.path())),
		l.client.ip(ctx, `
			address add 192.0.2.2/24 dev eth0
			link set eth0 up
			route add default via 192.0.2.1`),
		l.near.sysctl("net.ipv4.ip_forward", "1"),
		l.client.sysctl("net.ipv4.tcp_tw_reuse", "1"),
	)
}

func (l *lab) build(ctx context.Context) error {
	return errors.Join(
		l.near.ip(ctx, fmt.Sprintf(`
			link set lo up
			link add wan0 type veth peer name eth0 netns %[1]s
			address add 198.51.100.1/24 dev wan0
			link set wan0 up
			route add default via 198.51.100.2
			route add default via 198.51.100.2 table %[2]d
			rule add fwmark %[2]d lookup %[2]d`, l.far.path(), mark)),
		l.far.ip(ctx, `
			link set lo up
			address add 198.51.100.2/24 dev eth0
			address add 203.0.113.2/32 dev lo
			link set eth0 up
			route add default via 198.51.100.1`),
		l.client.ip(ctx, "link set lo up"),
		// Thousands of connections a second, all to one address.
		l.near.sysctl("net.ipv4.ip_local_port_range", "1024 65535"),
		l.near.sysctl("net.ipv4.tcp_tw_reuse", "1"),
		l.client.sysctl("net.ipv4.ip_local_port_range", "1024 65535"),
		l.near.sysctl("net.core.somaxconn", "65535"),
		l.far.sysctl("net.core.somaxconn", "65535"),
	)
}

func (l *lab) close() {
	l.near.close()
	l.far.close()
	l.client.close()
}
