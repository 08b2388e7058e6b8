//go:build linux

package hostfile

import (
	"bytes"
	"io"
	"net/netip"
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
		text, err := ReadResolvConf(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
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

// maxResolvConf is how many bytes of a resolv.conf are read. A libc takes three nameservers.
const maxResolvConf = 16 << 10

// ReadResolvConf returns a resolv.conf; of one that is too long the first whole lines.
func ReadResolvConf(path string) (string, error) {
	f, err := Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxResolvConf+1))
	if len(text) > maxResolvConf {
		text = text[:bytes.LastIndexByte(text[:maxResolvConf], '\n')+1]
	}
	return string(text), err
}
