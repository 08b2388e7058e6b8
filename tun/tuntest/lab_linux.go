package tuntest

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// Addresses of the lab, all from documentation ranges (RFC 5737, RFC 3849).
const (
	ClientAddr4 = "192.0.2.2"
	ClientAddr6 = "2001:db8:1::2"

	// The router's addresses towards the server: those the server sees its connections come from.
	RouterAddr4 = "198.51.100.1"
	RouterAddr6 = "2001:db8:2::1"

	// The server's addresses beyond its link, which only routes lead to.
	ServerAddr4 = "203.0.113.2"
	ServerAddr6 = "2001:db8:3::2"
)

// Lab is three hosts in a row. The program under test runs in the router, and so do, as a rule, the
// commands whose traffic it routes; the client is for a router that forwards for others.
//
//	┌─ Client ───────────┐        ┌─ Router ────────────────┐        ┌─ Server ────────────┐
//	│ eth0 192.0.2.2/24  ├──veth──┤ lan0 192.0.2.1/24       │        │                     │
//	│      2001:db8:1::2 │        │      2001:db8:1::1/64   │        │                     │
//	│                    │        │ wan0 198.51.100.1/24    ├──veth──┤ eth0 198.51.100.2   │
//	│ default: router    │        │      2001:db8:2::1/64   │        │      2001:db8:2::2  │
//	└────────────────────┘        │                         │        │ lo   203.0.113.2    │
//	                              │ forwards                │        │      2001:db8:3::2  │
//	                              │ default: server         │        │ default: router     │
//	                              └─────────────────────────┘        └─────────────────────┘
type Lab struct {
	Client, Router, Server *Namespace
}

// NewLab makes a lab of the test's own. It calls RequireNetNS.
func NewLab(tb testing.TB) *Lab {
	tb.Helper()
	l := &Lab{Client: NewNamespace(tb), Router: NewNamespace(tb), Server: NewNamespace(tb)}
	for _, ns := range []*Namespace{l.Client, l.Router, l.Server} {
		ns.Sysctl("net.ipv6.conf.default.accept_dad", "0") // nothing to detect on a wire with two ends
	}
	l.Router.Sysctl("net.ipv4.ip_forward", "1")
	l.Router.Sysctl("net.ipv6.conf.all.forwarding", "1")

	l.Router.Join("lan0", l.Client, "eth0")
	l.Router.Join("wan0", l.Server, "eth0")
	for _, a := range []struct {
		ns           *Namespace
		link, prefix string
	}{
		{l.Client, "eth0", ClientAddr4 + "/24"},
		{l.Client, "eth0", ClientAddr6 + "/64"},
		{l.Router, "lan0", "192.0.2.1/24"},
		{l.Router, "lan0", "2001:db8:1::1/64"},
		{l.Router, "wan0", RouterAddr4 + "/24"},
		{l.Router, "wan0", RouterAddr6 + "/64"},
		{l.Server, "eth0", "198.51.100.2/24"},
		{l.Server, "eth0", "2001:db8:2::2/64"},
		{l.Server, "lo", ServerAddr4 + "/32"},
		{l.Server, "lo", ServerAddr6 + "/128"},
	} {
		a.ns.AddAddress(a.link, a.prefix)
	}
	for _, r := range []struct {
		ns                *Namespace
		gateway, gateway6 string
	}{
		{l.Client, "192.0.2.1", "2001:db8:1::1"},
		{l.Router, "198.51.100.2", "2001:db8:2::2"},
		{l.Server, RouterAddr4, RouterAddr6},
	} {
		r.ns.AddRoute("0.0.0.0/0", r.gateway)
		r.ns.AddRoute("::/0", r.gateway6)
	}
	return l
}

// Join lays a veth pair between an interface of the namespace and one of another, and waits until
// it carries packets.
func (ns *Namespace) Join(name string, other *Namespace, otherName string) {
	ns.tb.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: otherName, PeerNamespace: netlink.NsFd(other.handle)}
	pair.Name = name
	if err := ns.Netlink.LinkAdd(pair); err != nil {
		ns.tb.Fatalf("add veth %s: %v", name, err)
	}
	for end, name := range map[*Namespace]string{ns: name, other: otherName} {
		if err := end.Netlink.LinkSetUp(end.Link(name)); err != nil {
			end.tb.Fatalf("set %s up: %v", name, err)
		}
	}
	ns.waitUp(name)
	other.waitUp(otherName)
}
