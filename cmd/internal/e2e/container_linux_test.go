package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

const containers = checkout + "/configs/container/"

// TestContainer starts a router as the container examples do: with their config and the one
// capability that they leave it. The file that they have an app wait for comes with the routes, not
// before.
func TestContainer(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "setpriv")
	example, err := os.ReadFile(containers + "config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	var waits []*tuntest.Process
	for _, file := range []string{"compose.yaml", "pod.yaml"} {
		b, err := os.ReadFile(containers + file)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`command: \[sh, -c, "(until (.*); do sleep 0\.1; done)"\]`).FindSubmatch(b)
		if m == nil {
			t.Fatalf("%s has no container that waits for the routes", file)
		}
		if got := command(t, lab.Router, "sh", "-c", string(m[2])); got.status == 0 {
			t.Errorf("%s does not wait while there is no router: %+v", file, got)
		}
		waits = append(waits, lab.Router.Start("sh", "-c", string(m[1])))
	}

	r := &router{dir: t.TempDir()}
	socket := filepath.Join(r.dir, "http.sock")
	example = bytes.Replace(example, []byte("unix:/run/syntap/http.sock"), []byte("unix:"+socket), 1)
	r.Process = lab.Router.Start("setpriv", "--no-new-privs", "--bounding-set=-all,+net_admin", binary, "run", "-c", r.writeConfig(t, string(example)))
	for _, wait := range waits {
		r.wait(t, "the container that waits for the routes", func() bool {
			select {
			case <-wait.Done():
				return true
			default:
				return false
			}
		})
	}
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
	}
	r.wait(t, "two records", func() bool { return len(parseRecords(t, r.Stdout())) == 2 })
	if got := command(t, lab.Router, binary, "status", "--at", "unix:"+socket); got.status != 0 || !strings.Contains(got.stdout, "2 established") {
		t.Errorf("status, as a probe asks: %+v", got)
	}
	checkRights(t, r.routerPID(t), 0, 0, 0)
	r.killRouter(t)
	lab.Router.Run("curl", "-sS", urls()[0])
	checkRights(t, r.routerPID(t), 0, 0, 0)
	r.stop(t, unix.SIGTERM)
	checkRecords(t, r.Stdout())
	for line := range strings.Lines(r.Stderr()) { // which an engine mixes with the records
		if !json.Valid([]byte(line)) {
			t.Errorf("the program's own log has a line that is no JSON: %s", line)
		}
	}
}

// TestNoIPv6InContainer starts a router where IPv6 is off and the kernel's parameters are
// read-only, as in a container.
func TestNoIPv6InContainer(t *testing.T) {
	t.Parallel()
	requireTools(t, "unshare")
	ns := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv6.conf.all.disable_ipv6", "1")
	ns.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	before := ns.State()
	const inContainer = `mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"`
	r := &router{dir: t.TempDir()}
	got := command(t, ns, "unshare", "--mount", "sh", "-c", inContainer, "sh", binary, "run", "-c", r.writeConfig(t, everything))
	if got.status != 1 || !strings.Contains(got.stderr, "hint: IPv6 is off here") {
		t.Errorf("run without IPv6: %+v, want exit status 1 and a hint", got)
	}
	if after := ns.State(); after != before {
		t.Errorf("left behind: %s, want %s", after, before)
	}

	// The hint is right.
	config := filepath.Join(r.dir, "syntap.yaml")
	if err := os.WriteFile(config, []byte("tun: {addresses: [198.18.0.1/30]}\nroute: {include: [0.0.0.0/0]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Process = ns.Start("unshare", "--mount", "sh", "-c", inContainer, "sh", binary, "run", "-c", config)
	r.wait(t, "the routes", func() bool { return enters(ns, tuntest.ServerAddr4, "syntap0") })
	r.stop(t, unix.SIGTERM)
}
