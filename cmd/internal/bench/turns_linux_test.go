package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Direct, relay, syntap and its variants take turns in cases of a load, and so do a syntap and its
// base.
func TestGroups(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		routers, name string
		want          [][]string
	}{
		{"direct relay syntap syntap-nolog sing-gvisor", "connections", [][]string{{direct, baseline, "syntap", "syntap-nolog"}, {"sing-gvisor"}}},
		{"direct relay syntap sing-gvisor", "UDP up", [][]string{{direct, "syntap"}, {"sing-gvisor"}}},
		{"syntap syntap-nolog base base-nolog", "connections", [][]string{{"syntap", "base"}, {"syntap-nolog", "base-nolog"}}},
		{"syntap syntap-nolog base base-nolog", "1 stream down", [][]string{{"syntap", "base"}}},
		{"relay syntap base", "idle", [][]string{{baseline}, {"syntap"}, {"base"}}},
	} {
		all, _, err := choose(routers(), strings.Fields(tt.routers), func(string) string { return "/bin/sh" })
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases() {
			if c.name != tt.name {
				continue
			}
			var got [][]string
			for _, group := range groups(all, c) {
				got = append(got, names(group))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: groups for %s (-want +got):\n%s", tt.routers, tt.name, diff)
			}
		}
	}
}
