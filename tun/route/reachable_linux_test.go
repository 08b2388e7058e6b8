package route_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

func TestReachable(t *testing.T) {
	t.Parallel()
	const (
		lan4     = "addr add 192.0.2.1/24 dev eth0"
		lan6     = "addr add 2001:db8:1::1/64 dev eth0 nodad"
		default4 = "route add default via 192.0.2.2"
		default6 = "-6 route add default via 2001:db8:1::2"
	)
	tests := []struct {
		name  string
		steps []string // arguments of ip
		want  string
	}{
		{"neither", nil, "0.0.0.0/0 ::/0"},
		{"both", []string{lan4, lan6, default4, default6}, "0.0.0.0/0 ::/0"},
		{"IPv4 only", []string{lan4, default4}, "0.0.0.0/0"},
		{"IPv6 only", []string{lan6, default6}, "::/0"},
		{"no default", []string{lan4, lan6}, "0.0.0.0/0 ::/0"},
		{"no default, IPv4 only", []string{lan4}, "0.0.0.0/0"},
		{"no default, IPv6 only", []string{lan6}, "::/0"},
		{"IPv6 for the LAN only", []string{lan4, default4, lan6}, "0.0.0.0/0 2001:db8:1::/64"},
		{"IPv4 for the LAN only", []string{lan4, lan6, default6}, "192.0.2.0/24 ::/0"},
		{
			"default in another table",
			[]string{lan6, lan4, default4 + " table 77", "rule add table 77"},
			"0.0.0.0/0 2001:db8:1::/64",
		},
		{
			"a link without carrier", []string{
				lan6, default6, "link add eth1 type veth peer name unplugged",
				"addr add 172.17.0.1/16 dev eth1", "link set eth1 up",
			}, "::/0",
		},
		{
			"link-local only", []string{
				lan4, default4, "addr add 169.254.1.1/16 dev eth0",
				"route add 169.254.169.254 dev eth0",
			}, "0.0.0.0/0",
		},
		{
			"no address left",
			[]string{lan4, default4, lan6, default6, "-6 addr flush dev eth0"},
			"0.0.0.0/0",
		},
		{"unreachable", []string{lan4, default4, "-6 route add unreachable default"}, "0.0.0.0/0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := tuntest.NewNamespace(t)
			ns.Run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far")
			ns.Run("ip", "link", "set", "far", "up")
			ns.Run("ip", "link", "set", "eth0", "up")
			for _, step := range tt.steps {
				ns.Run("ip", strings.Fields(step)...)
			}
			if slices.Contains(tt.steps, "link set eth1 up") { // the kernel notices a moment later
				tuntest.Wait(t, "a link down", func() bool {
					return strings.Contains(ns.Run("ip", "route"), "linkdown")
				})
			}
			err := ns.Do(func() error {
				got, err := route.Reachable()
				var text []string
				for _, p := range got {
					text = append(text, p.String())
				}
				slices.Sort(text)
				if s := strings.Join(text, " "); s != tt.want {
					return errors.Join(fmt.Errorf("Reachable() = %s, want %s", s, tt.want), err)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
