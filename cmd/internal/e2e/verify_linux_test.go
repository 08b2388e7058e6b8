package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestVerify checks the chain of a log that was rotated, and finds a record that is taken out of
// it.
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
	if got := verify(); got.status != 0 || !strings.HasPrefix(got.stdout, "802 records in ") || !strings.Contains(got.stdout, ": seq 1 to 802, last hash ") ||
		!strings.Contains(got.stdout, "\n1 head vouches for the end, and the last run has ended in order\n2 runs are complete: ") {
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

// inJournal starts systemd's journal out of sight of the host, has two runs of a router write a
// log whose heads go there, and verifies it, whole and without its end.
const inJournal = `
set -eux
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/log/journal
mount -t tmpfs none /var/log/journal 2>/dev/null || true
mount --bind "$DIR/journald.conf" /etc/systemd/journald.conf
env -u RUNTIME_DIRECTORY "$JOURNALD" & journald=$!
trap 'kill $journald' EXIT
timeout 60 sh -c 'until test -S /run/systemd/journal/socket; do :; done'
for run in 1 2; do
	"$SYNTAP" run -c "$DIR/syntap.yaml" 2>"$DIR/err" & router=$!
	timeout 60 sh -c 'until ip -6 rule | grep -q 5360:; do :; done'
	timeout 60 sh -c 'until grep -q handshake "$DIR/log/handshakes.json"; do curl -s -m 5 http://$SERVER:1/ || true; done'
	kill $router
	wait $router
done
timeout 60 sh -c 'until journalctl -o cat -q SYSLOG_IDENTIFIER=syntap | grep -q "\"seq\":$(wc -l <"$DIR/log/handshakes.json"),"; do :; done'
"$SYNTAP" verify --anchor "$DIR/log/handshakes.json"
sed -i '$d' "$DIR/log/handshakes.json"
rm "$DIR/log/handshakes.json.head"
"$SYNTAP" verify "$DIR/log/handshakes.json"
! "$SYNTAP" verify --anchor "$DIR/log/handshakes.json"
`

// TestVerifyAnchor keeps the heads of a log in systemd's journal.
func TestVerifyAnchor(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ip", "journalctl", "unshare")
	const journald = "/lib/systemd/systemd-journald"
	if _, err := os.Stat(journald); err != nil {
		t.Skip("needs systemd-journald")
	}
	tuntest.RequireNetNS(t)
	r := &router{dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(r.dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "journald.conf"), []byte("[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.writeConfig(t, `
egress: {dial_timeout: 200ms}
tap: {log: [{format: json, path: DIR/log/handshakes.json, chain: true, chain_anchor: [journald]}]}
`)
	lab := tuntest.NewLab(t)
	ctx, cancel := timeout()
	defer cancel()
	cmd := lab.Router.Command(ctx, "unshare", "--mount", "--propagation", "private", "sh", "-c", inJournal)
	cmd.Env = append(os.Environ(), "DIR="+r.dir, "SYNTAP="+binary, "JOURNALD="+journald, "SERVER="+tuntest.ServerAddr4, "RUNTIME_DIRECTORY="+r.dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "heads vouch for the end") ||
		!strings.Contains(string(out), "at the end: the journal says that the log had them on ") {
		t.Errorf("%v\n%s", err, out)
	}
}
