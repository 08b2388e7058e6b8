package namespace

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// relayNameservers returns conf, the host's resolv.conf(5), with a gateway address in place of each nameserver that only
// the host itself can reach, and which nameserver each of these addresses stands for. A conf that needs no change comes
// back as it is, with no relays. There are as many relays as gateways; the nameserver lines beyond them go.
func relayNameservers(conf string, gateways []netip.Addr, onHost func(netip.Addr) bool) (string, map[netip.Addr]netip.Addr) {
	relays := map[netip.Addr]netip.Addr{}
	var lines []string
	found := false
	for line := range strings.Lines(conf) {
		server, ok := nameserver(line)
		found = found || ok
		if ok && onHost(server) {
			if len(relays) == len(gateways) {
				continue
			}
			line = "nameserver " + gateways[len(relays)].String() + "\n"
			relays[gateways[len(relays)]] = server
		}
		lines = append(lines, line)
	}
	if !found && len(gateways) > 0 {
		// "If no nameserver entries are present, the default is to use the name server on the local machine" (resolv.conf(5)).
		lines = slices.Insert(lines, 0, "nameserver "+gateways[0].String()+"\n")
		relays[gateways[0]] = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if len(relays) == 0 {
		return conf, nil
	}
	return strings.Join(lines, ""), relays
}

// nameserver returns the address of a line "nameserver ADDRESS".
func nameserver(line string) (netip.Addr, bool) {
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "nameserver" {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(words[1])
	return a.Unmap(), err == nil
}

// reachableOnHostOnly returns a test for the addresses that a command in the namespace cannot dial as such: those that
// mean the host itself or one of its links, and those of the TUN's own subnets, which a nested session inherits.
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
		return a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || own[a] ||
			slices.ContainsFunc(tun, func(p netip.Prefix) bool { return p.Contains(a) })
	}, nil
}
