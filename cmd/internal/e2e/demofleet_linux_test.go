package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"syntap/cmd/internal/fleet/fleettest"
	"syntap/tun/tuntest"
)

// TestDemoFleet runs the demo of a fleet with the store of PATH, in a namespace that has no
// network, and without any store.
func TestDemoFleet(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	before := ns.State()
	got := command(
		t, ns, "env",
		"PATH="+os.Getenv("PATH")+":"+filepath.Dir(fleettest.Program(t, fleettest.VictoriaLogsModule)),
		binary, "demo", "--fleet",
	)
	if got.status != 0 {
		t.Fatalf("demo --fleet: %+v", got)
	}
	for _, want := range []string{
		`\$ syntap log --fleet --store \S+\n` +
			`\S+ \S+  gw1 +established .* 192\.168\.1\.12:\d+ → 203\.0\.113\.10:443 .*\n` +
			`\S+ \S+  gw1 +refused .* 192\.168\.1\.12:\d+ → 203\.0\.113\.20:5432 .*\n` +
			`\S+ \S+  gw2 +established .* 192\.168\.2\.34:\d+ → 203\.0\.113\.10:443 .*\n\n`,
		`\$ syntap log --fleet --outcome refused --store \S+\n.* refused .*\n\n`,
		`\$ syntap fleet --store \S+\n(.*\n)*gw1 .*\n(.*\n)*gw2 `,
	} {
		if !regexp.MustCompile(want).MatchString(got.stdout) {
			t.Errorf("demo --fleet shows no %s:\n%s", want, got.stdout)
		}
	}
	if after := ns.State(); after != before {
		t.Errorf("demo --fleet left something behind:\n%s\nwas:\n%s", after, before)
	}
	got = command(
		t, ns, "env", "PATH=/nowhere", "HOME="+t.TempDir(), "XDG_CACHE_HOME=", binary, "demo",
		"--fleet",
	)
	if got.status != 1 ||
		!strings.Contains(
			got.stderr,
			"hint: where Go is: go install github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v",
		) {
		t.Errorf("demo --fleet without a store and Go: %+v", got)
	}

	// Progress is for terminals.
	fake := t.TempDir()
	must(t, os.WriteFile(filepath.Join(fake, "go"), []byte("#!/bin/sh\necho 'go: downloading example.com/a v1' >&2\nexit 1\n"), 0o755))
	got = command(t, ns, "env", "PATH="+fake, "HOME="+t.TempDir(), "XDG_CACHE_HOME=", binary, "demo", "--fleet")
	if got.status != 1 || strings.Contains(got.stderr, "\r") || !strings.Contains(got.stderr, "build the store: exit status 1") {
		t.Errorf("demo --fleet with a failing build: %+v", got)
	}
}
