package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestVerify checks the chain of a log that was rotated, and finds a record that is taken out of it.
func TestVerify(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	key := filepath.Join(r.dir, "key")
	if err := os.WriteFile(key, []byte("correct horse battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := r.writeConfig(t, `
tun: {name: syntap0}
tap: {log: [{format: json, path: DIR/handshakes.json, chain: true, chain_key: DIR/key, max_size: 64KiB, compress: true}]}
`)
	serveEchoes(lab)
	for range 2 {
		r.Process = lab.Router.Start(binary, "run", "-c", config)
		r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
		connectEchoes(t, lab, 200)
		r.stop(t, unix.SIGTERM)
	}
	files := r.files(t, "handshakes*json*")
	verify := func() result {
		return command(t, lab.Router, binary, append([]string{"verify", "--key", key}, files...)...)
	}
	if got := verify(); got.status != 0 || !strings.HasPrefix(got.stdout, "800 records in ") || !strings.Contains(got.stdout, ": seq 1 to 800, last hash ") {
		t.Errorf("verify: %+v", got)
	}
	last := filepath.Join(r.dir, "handshakes.json")
	lines := strings.SplitAfter(r.read(t, "handshakes.json"), "\n")
	if err := os.WriteFile(last, []byte(strings.Join(append(lines[:1:1], lines[2:]...), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := verify(); got.status != 1 || !strings.HasPrefix(got.stderr, "syntap: "+last+": seq ") || !strings.HasSuffix(got.stderr, " is missing\n") {
		t.Errorf("verify without a record: %+v", got)
	}
}
