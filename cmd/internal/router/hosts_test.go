//go:build linux

package router

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/record"
	"syntap/stack/dial"
	"syntap/stack/egress"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// TestHostsAgree has records, rules and strict know the same names of a server.
func TestHostsAgree(t *testing.T) {
	t.Parallel()
	const asked, only = "203.0.113.1", "203.0.113.3" // own.example for user 1000, and no name of the DNS
	table := hostfile.Hosts{
		netip.MustParseAddr(asked): {"table.example"},
		netip.MustParseAddr(only):  {"only.example", "web"},
	}
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
		j := &egressPolicy{names: n, local: n.local}
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
