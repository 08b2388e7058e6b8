//go:build linux

package hostfile

import (
	"net/netip"
	"os"
	"slices"
	"strings"
)

// resolverFiles name the host's nameservers: those that programs ask, and those that
// systemd-resolved asks for them, or the dnsmasq of NetworkManager.
var resolverFiles = []string{
	"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf",
}

// Nameservers returns the host's nameservers, those at other machines.
func Nameservers() []netip.Addr {
	var all []netip.Addr
	for _, file := range resolverFiles {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "nameserver" {
				continue
			}
			a, err := netip.ParseAddr(words[1])
			if a = a.Unmap().WithZone(""); err == nil && !a.IsLoopback() && !a.IsUnspecified() && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}
