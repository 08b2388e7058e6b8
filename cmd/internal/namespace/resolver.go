package namespace

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// resolver is how names resolve in the namespace.
type resolver struct {
	conf    string                    // the command's resolv.conf(5)
	changed bool                      // it is not the host's
	missing bool                      // the host has none, nor a place for one
	order   []netip.Addr              // nameservers of the host
	servers map[netip.Addr]netip.Addr // the same, by the addresses that stand for them, for DNS alone
}

// newResolver returns how names resolve where the host's resolv.conf is conf. A nameserver that
// only the host itself can reach gets one of the relay addresses in its place; lines beyond them
// go. Every nameserver is to be had by its own address too, whatever else is denied.
func newResolver(conf string, relays []netip.Addr, onHost func(netip.Addr) bool) resolver {
	r := resolver{servers: map[netip.Addr]netip.Addr{}}
	var lines []string
	found, used := false, 0
	for line := range strings.Lines(conf) {
		server, ok := nameserver(line)
		found = found || ok
		if ok {
			r.servers[server.WithZone("")] = server
			r.order = append(r.order, server)
			if !strings.HasPrefix(line, "nameserver") || strings.HasSuffix(line, "\r\n") {
				// Some libcs read such a line, and glibc asks 127.0.0.1 instead.
				line = strings.Join(strings.Fields(line)[:2], " ") + "\n"
			}
		}
		if ok && onHost(server) && len(relays) > 0 {
			if used == len(relays) {
				continue
			}
			line = "nameserver " + relays[used].String() + "\n"
			r.servers[relays[used]] = server
			used++
		}
		lines = append(lines, line)
	}
	if !found && len(relays) > 0 {
		// "If no nameserver entries are present, the default is to use the name server on the local
		// machine" (resolv.conf(5)).
		lines = slices.Insert(lines, 0, "nameserver "+relays[0].String()+"\n")
		r.servers[relays[0]] = loopback4
		r.order = append(r.order, loopback4)
	}
	r.conf = strings.Join(lines, "")
	r.changed = r.conf != conf
	return r
}

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// nameserver returns the address of a line "nameserver ADDRESS". The unspecified address is the
// loopback one's other name.
func nameserver(line string) (netip.Addr, bool) {
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "nameserver" {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(words[1])
	a = a.Unmap()
	if a.IsUnspecified() {
		if a.Is4() {
			a = loopback4
		} else {
			a = netip.IPv6Loopback()
		}
	}
	return a, err == nil
}

// reachableOnHostOnly returns a test for the addresses that a command in the namespace cannot dial
// as such: those that mean the host itself or one of its links, those of the TUN's own subnets,
// which a nested session inherits, and those of a family that the TUN has no address of.
func reachableOnHostOnly(tun []netip.Prefix) (func(netip.Addr) bool, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	own := map[netip.Addr]bool{}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own[p.Addr().Unmap()] = true
		}
	}
	return func(a netip.Addr) bool {
		return a.IsLoopback() || a.IsLinkLocalUnicast() || own[a] ||
			slices.ContainsFunc(tun, func(p netip.Prefix) bool { return p.Contains(a) }) ||
			!slices.ContainsFunc(tun, func(p netip.Prefix) bool { return p.Addr().Is4() == a.Is4() })
	}, nil
}
