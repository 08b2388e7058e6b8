package e2e_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestHostNames has the host's table of names name a server that rules allow by name alone, from
// the reload on, and for programs of the host alone.
func TestHostNames(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	dir.write(t, "hosts", "127.0.0.1 localhost\n")
	config := strings.Replace(everything, "name: syntap0", `name: syntap0, sources: [host, 192.0.2.0/24]`, 1) +
		"egress: {strict: true, default: deny, rules: [{name: table.example.com, verdict: allow}]}\n"
	r := &router{dir: t.TempDir()}
	line := dir.asking(binary, "run", "-c", r.writeConfig(t, config))
	r.Process = lab.Router.Start(line[0], line[1:]...)
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })

	const curl = "curl -s -m 60 "
	steps(t, lab.Router, []string{"sh", "-c"}, []step{{curl + "http://" + addrOfShop, "7"}})
	dir.write(t, "hosts", addrOfShop+" table.example.com\n")
	r.reload(t, config)
	steps(t, lab.Router, dir.asking("sh", "-c"), []step{
		{curl + "http://table.example.com", "0"},
		{curl + "-H 'Host: two.example.com' http://" + addrOfShop, "56"},
	})
	steps(t, lab.Client, []string{"sh", "-c"}, []step{{curl + "http://" + addrOfShop, "7"}})
	r.stop(t, unix.SIGTERM)
	log := r.read(t, "handshakes.json")
	if n := strings.Count(log, `"name":"table.example.com","name_source":"hosts"`); n < 4 {
		t.Errorf("%d records have the name, want handshake and flow of two connections:\n%s", n, log)
	}
}
