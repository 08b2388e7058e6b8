//go:build linux

package app

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"syntap/stack/egress"
)

// hostsFile is the host's own table of names (hosts(5)), as programs read it before they ask the
// DNS.
const hostsFile = "/etc/hosts"

// Bounds of it: the bytes that are read, and the names of an address that count.
const (
	maxHosts     = 1 << 20
	maxHostNames = 16
)

// hosts has the names of addresses.
type hosts map[netip.Addr][]string

// readHosts reads a file of the form of hosts(5). One that cannot be read has no names.
func readHosts(path string) hosts {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	all := make(hosts)
	lines := bufio.NewScanner(io.LimitReader(f, maxHosts))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		a, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		a = a.Unmap().WithZone("")
		for _, word := range words[1:] {
			all.add(a, word)
		}
	}
	return all
}

// add has an address have another name; one that is none does not count.
func (h hosts) add(a netip.Addr, name string) {
	if a.IsLoopback() || a.IsUnspecified() || len(h[a]) >= maxHostNames {
		return // block lists have any number, of addresses to which no packet leaves
	}
	p, err := egress.ParsePattern(name)
	if err == nil && !slices.Contains(h[a], p.String()) {
		h[a] = append(h[a], p.String())
	}
}
