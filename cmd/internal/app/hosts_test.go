//go:build linux

package app

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestReadHosts reads a table of names with all that hosts(5) allows, and more.
func TestReadHosts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	const table = "# comment\n192.0.2.1\tWWW.example.com. web # another\n\n::ffff:192.0.2.1 mapped.example.com\n" +
		"fe80::1%eth0 link.example.com\nno address\n192.0.2.2\n192.0.2.3 a*b ok.example.com\n"
	if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	all := readHosts(path)
	for address, want := range map[string][]string{
		"192.0.2.1": {"www.example.com", "web", "mapped.example.com"},
		"192.0.2.2": nil,
		"192.0.2.3": {"ok.example.com"},
		"fe80::1":   {"link.example.com"},
	} {
		if got := all[netip.MustParseAddr(address)]; !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", address, got, want)
		}
	}
	if len(all) != 3 || len(readHosts(path+".none")) != 0 {
		t.Errorf("%d addresses", len(all))
	}
}
