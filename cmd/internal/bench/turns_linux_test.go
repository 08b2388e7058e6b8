package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A syntap and its base take turns in cases of a load.
func TestGroups(t *testing.T) {
	t.Parallel()
	all, _, err := choose(routers(), []string{direct, "syntap", "syntap-nolog", "base", "base-nolog"}, func(string) string { return "/bin/sh" })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][][]string{
		"connections":   {{direct}, {"syntap", "base"}, {"syntap-nolog", "base-nolog"}},
		"1 stream down": {{direct}, {"syntap", "base"}},
		"idle":          {{"syntap"}, {"base"}, {"syntap-nolog"}, {"base-nolog"}},
	} {
		for _, c := range cases() {
			if c.name != name {
				continue
			}
			var got [][]string
			for _, group := range groups(all, c) {
				got = append(got, names(group))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("groups for %s (-want +got):\n%s", name, diff)
			}
		}
	}
}
