//go:build linux

package app

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/record"
	"syntap/stack/dial"
	"syntap/stack/egress"
	"syntap/tap/handshake"
	"syntap/tun/flow"
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
	all := readHosts(path, log)
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
	if len(all) != 3 || len(readHosts(path+".none", log)) != 0 || len(said.AllEntries()) != 0 {
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
	if got := readHosts(path, log)[netip.MustParseAddr(address)]; len(got) != maxHostNames {
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
	all := readHosts(path, log)
	if len(all) != 2 || len(all[netip.MustParseAddr("192.0.2.2")]) != 1 {
		t.Errorf("%v, want the names of the first two lines", all)
	}
	if n := len(said.AllEntries()); n != 1 {
		t.Errorf("%d warnings, want one", n)
	}
}

// TestHostsAgree has records, rules and strict know the same names of a server.
func TestHostsAgree(t *testing.T) {
	t.Parallel()
	const asked, only = "203.0.113.1", "203.0.113.3" // own.example for user 1000, and no name of the DNS
	table := make(hosts)
	table.add(netip.MustParseAddr(asked), "table.example")
	table.add(netip.MustParseAddr(only), "only.example")
	table.add(netip.MustParseAddr(only), "web")
	allowed := func(name string) egress.Rule {
		rule, err := egress.ParseTarget(name)
		if err != nil {
			t.Fatal(err)
		}
		return rule
	}
	user, machine := &record.Owner{UID: 1000}, netip.MustParseAddr("198.51.100.1")
	first := &record.Name{Name: "own.example", Source: "dns", Others: []string{"table.example"}}
	second := &record.Name{Name: "only.example", Source: "hosts", Others: []string{"web"}}
	for _, tt := range []struct {
		name   string
		client netip.Addr
		server string
		owner  *record.Owner
		want   *record.Name
	}{
		{"beside the DNS", localClient, asked, user, first},
		{"alone", localClient, only, user, second},
		{"of an unknown user", localClient, only, nil, second},
		{"of a machine", machine, only, nil, nil},
	} {
		n, key := known(t)
		n.hosts.Store(&table)
		j := &judge{names: n, local: n.local}
		j.rules.Store(egress.Compile([]egress.Rule{allowed("table.example"), allowed("web")}, true))
		j.strict.Store(true)
		k := key(tt.server)
		k.Client = netip.AddrPortFrom(tt.client, k.Client.Port())
		n.syn(k, tt.owner)
		ruling := j.rule(dial.Flow{Proto: flow.TCP, Client: k.Client, Server: k.Server, ISN: k.ISN})
		if ruling.Deny != (tt.want == nil) {
			t.Errorf("%s: rules deny it: %t", tt.name, ruling.Deny)
		}
		o := &record.Opening{Name: n.handshake(recordOf(k, handshake.Established))}
		if diff := cmp.Diff(tt.want, o.Name); diff != "" {
			t.Errorf("%s: name of the record (-want +got):\n%s", tt.name, diff)
		}
		if checks := j.checksName(o); checks != (tt.want != nil) {
			t.Errorf("%s: strict asks for the name: %t", tt.name, checks)
		}
		for said, other := range map[string]bool{
			"table.example": tt.server == only, "web": tt.server == asked, "evil.example": true,
		} {
			f := &flow.Flow{Key: k, Opening: o, HTTPHost: said}
			if got := j.contradicts(f); got != (other && tt.want != nil) {
				t.Errorf("%s: %s contradicts: %t", tt.name, said, got)
			}
		}
	}
}
