//go:build linux

package hostfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"syntap/stack/egress"
)

// HostsPath is the host's own table of names (hosts(5)), as programs read it before they ask the
// DNS.
const HostsPath = "/etc/hosts"

// PasswdPath has the names of users.
const PasswdPath = "/etc/passwd"

// Bounds of it: the bytes that are read, more than block lists have, and the names of an address
// that count.
const (
	maxHosts     = 8 << 20
	maxHostNames = 16
)

// Hosts has the names of addresses.
type Hosts map[netip.Addr][]string

// ReadHosts reads a file of the form of hosts(5). It warns where the file cannot be read, or only
// its beginning counts. One that does not exist has no names.
func ReadHosts(path string, log logrus.FieldLogger) Hosts {
	f, err := os.Open(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.WithError(err).Warn(noHosts)
		}
		return nil
	}
	defer f.Close()
	return ParseHosts(f, path, log)
}

const noHosts = "names of the host's own table do not count"

// ParseHosts reads an open file, whose path is told.
func ParseHosts(f io.Reader, path string, log logrus.FieldLogger) Hosts {
	text, err := io.ReadAll(io.LimitReader(f, maxHosts+1))
	if err != nil {
		log.WithError(err).Warn(noHosts)
		return nil
	}
	if len(text) > maxHosts {
		text = text[:bytes.LastIndexByte(text[:maxHosts], '\n')+1]
		log.WithField("file", path).Warnf("only the names in the first %d MiB count", maxHosts>>20)
	}
	all := make(Hosts)
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
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
func (h Hosts) add(a netip.Addr, name string) {
	if a.IsLoopback() || a.IsUnspecified() || len(h[a]) >= maxHostNames {
		return // block lists have any number, of addresses to which no packet leaves
	}
	p, err := egress.ParsePattern(name)
	if err == nil && !slices.Contains(h[a], p.String()) {
		h[a] = append(h[a], p.String())
	}
}
