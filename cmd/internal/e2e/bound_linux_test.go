package e2e_test

import (
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestBoundQueries has a host's resolver bind its sockets to the uplink, as dnsmasq does for TCP,
// and for all queries under NetworkManager (dns=dnsmasq). Its queries pass, unrecorded: check and
// plan say so of NetworkManager and ConnMan, and run of any program when it has asked.
func TestBoundQueries(t *testing.T) {
	t.Parallel()
	requireTools(t, "dig", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	did := regexp.MustCompile(`DNS queries left by an interface [^\n]* interface=wan0 packets=\d+ uid=0`)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, everything)
	for _, program := range []struct{ file, content, may, cure string }{
		{
			"/run/NetworkManager/dnsmasq.pid", "1",
			"NetworkManager's dnsmasq binds its sockets to the uplink: its DNS queries go past the TUN",
			"echo dns=default; } >/etc/NetworkManager/conf.d/zz-syntap.conf && systemctl reload NetworkManager",
		},
		{
			"/run/connman/resolv.conf", "nameserver ::1\nnameserver 127.0.0.1",
			"ConnMan's DNS proxy binds its sockets to the uplink: its queries are refused",
			"echo ExecStart=/usr/sbin/connmand -n --nodnsproxy; }",
		},
		{"/run/connman/resolv.conf", "nameserver 203.0.113.53", "", ""},
	} {
		for _, what := range []string{"check", "plan"} {
			const beside = `mount -t tmpfs none /run && mkdir "${0%/*}" && echo "$1" >"$0" && shift && exec "$@"`
			line := dir.asking("sh", "-c", beside, program.file, program.content, binary, what, "-c", config)
			got := command(t, lab.Router, line[0], line[1:]...)
			told := strings.Contains(got.stderr, "to the uplink")
			if got.status != 0 || told != (program.may != "") ||
				!strings.Contains(got.stderr, program.may) || !strings.Contains(got.stderr, program.cure) {
				t.Errorf("%s with %s: %+v, want %q, and %q", what, program.file, got, program.may, program.cure)
			}
		}
	}
	ask := func(server string) {
		t.Helper()
		if got := command(t, lab.Router, "dig", "+short", "+tcp", "+tries=1", "@"+server, "one.example.com"); got.stdout != addrOfTwo+"\n" {
			t.Errorf("%s answers %+v, want %s", server, got, addrOfTwo)
		}
	}
	resolve(t, lab.Router, "--user=root", "--listen-address=127.0.0.53", "--server="+resolver+"@wan0")
	line := dir.asking(binary, "run", "-c", config)
	r.Process = lab.Router.Start(line[0], line[1:]...)
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	ask(resolver)
	r.wait(t, "the record of the query that is not bound", func() bool {
		return strings.Contains(r.read(t, "handshakes.json"), "one.example.com")
	})
	ask("127.0.0.53")
	r.wait(t, "word of the query", func() bool { return did.MatchString(r.Stderr()) })
	r.stop(t, unix.SIGTERM)
}
