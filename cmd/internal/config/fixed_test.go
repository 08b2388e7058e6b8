package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChangedFixed(t *testing.T) {
	t.Parallel()
	const before = "tun: {name: tun7}\nroute: {exclude: [192.0.2.0/24]}\n"
	for name, tt := range map[string]struct {
		after string
		want  []string
	}{
		"same":       {before, nil},
		"reloadable": {before + "tap: {timeout: 1s}\nmss: [{clamp: 1200}]\negress: {allow: [host]}\nlimits: {udp_flows: 1}\nlog: {level: debug}\n", nil},
		"default":    {before + "http: {listen: \"\"}\n", nil},
		"fixed":      {"tun: {name: tun7, mtu: 1400}\nroute: {on_crash: open}\n", []string{"tun.mtu", "route.exclude", "route.on_crash", "route.enforce"}},
	} {
		old, err := Parse("before.yaml", []byte(before))
		if err != nil {
			t.Fatal(err)
		}
		next, err := Parse("after.yaml", []byte(tt.after))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, old.ChangedFixed(next)); diff != "" {
			t.Errorf("%s: changed keys (-want +got):\n%s", name, diff)
		}
	}
}
