//go:build linux

package hostfile

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	logrustest "github.com/sirupsen/logrus/hooks/test"
)

// TestReadHosts reads a table of names with all that hosts(5) allows, and more.
func TestReadHosts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	const table = "# comment\n192.0.2.1\tWWW.example.com. web # another\n\n::ffff:192.0.2.1 mapped.example.com\n" +
		"fe80::1%eth0 link.example.com\nno address\n192.0.2.2\n192.0.2.3 a*b ok.example.com ok.example.com\n" +
		"127.0.0.1 localhost\n0.0.0.0 blocked.example.com\n"
	if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	log, said := logrustest.NewNullLogger()
	all := ReadHosts(path, log)
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
	if len(all) != 3 || len(ReadHosts(path+".none", log)) != 0 || len(said.AllEntries()) != 0 {
		t.Errorf("%d addresses, warnings %v", len(all), said.AllEntries())
	}
	const address = "192.0.2.4"
	many := address
	for i := range 2 * maxHostNames {
		many += fmt.Sprintf(" n%d", i)
	}
	if err := os.WriteFile(path, []byte(many+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := ReadHosts(path, log)[netip.MustParseAddr(address)]; len(got) != maxHostNames {
		t.Errorf("%d names of one address, want %d", len(got), maxHostNames)
	}
}

// TestLongHosts reads a table whose lines and length have no end.
func TestLongHosts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	table := "192.0.2.1 first.example.com #" + strings.Repeat("x", 1<<17) + "\n192.0.2.2 second.example.com\n"
	const last = "192.0.2.3 good.example.com.evil.example"
	table += strings.Repeat("#", maxHosts-len(table)-len("\n192.0.2.3 good.example.com")) + "\n" + last
	if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	log, said := logrustest.NewNullLogger()
	all := ReadHosts(path, log)
	if len(all) != 2 || len(all[netip.MustParseAddr("192.0.2.2")]) != 1 {
		t.Errorf("%v, want the names of the first two lines", all)
	}
	if n := len(said.AllEntries()); n != 1 {
		t.Errorf("%d warnings, want one", n)
	}
}
