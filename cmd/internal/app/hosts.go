//go:build linux

package app

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"strings"

	"syntap/stack/egress"
)

// hostsFile is the host's own table of names (hosts(5)), as programs read it before they ask the
// DNS.
const hostsFile = "/etc/hosts"

// maxHosts is how many bytes of it are read.
const maxHosts = 1 << 20

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
			if name, err := egress.ParsePattern(word); err == nil {
				all[a] = append(all[a], name.String())
			}
		}
	}
	return all
}
