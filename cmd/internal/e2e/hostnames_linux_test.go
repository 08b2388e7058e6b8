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

// TestHostFiles has a user and a nameserver come while a router works: it opens no file, and knows
// both.
func TestHostFiles(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "setpriv", "unshare")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver 203.0.113.99\n")
	config := everything + "egress: {deny: [" + resolver + "]}\n"
	r := &router{dir: t.TempDir()}
	line := dir.asking(binary, "run", "-c", r.writeConfig(t, config))
	r.Process = lab.Router.Start(line[0], line[1:]...)
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	ask := func() bool {
		return command(t, lab.Router, "dig", "+tries=1", "+time=1", "+short", "@"+resolver, "one.example.com").status == 0
	}
	named := func() bool {
		output(lab.Router, "setpriv", "--reuid=12345", "--clear-groups", "curl", "-sS", "http://"+addrOfShop)
		return strings.Contains(r.read(t, "handshakes.json"), `"user":"newcomer"`)
	}
	if ask() || named() {
		t.Error("the router knows a nameserver or a user that the host does not know")
	}
	dir.write(t, "resolv.conf", "nameserver "+resolver+"\n")
	r.wait(t, "answers of the nameserver", ask)
	dir.write(t, "passwd", "root:x:0:0::/:/bin/sh\nnewcomer:x:12345:12345::/:/bin/sh\n")
	r.wait(t, "a record with the user's name", named)
	r.stop(t, unix.SIGTERM)
}
