package e2e_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestECMP does as configs/ecmp.md says: one router, a second that joins, and the death of the
// first. No connection is lost when the second joins, no client has connections through both, and
// those of the dead router are reset at the other, which records nothing of it.
func TestECMP(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ip", "nft", "sysctl")
	l := newECMPLab(t)
	l.setUp(t)
	first := l.startGateway(t, 0)
	early := l.open(t, 0)
	second := l.startGateway(t, 1)
	l.do(t, "A router joins", "")
	for _, c := range early {
		if err := c.alive(); err != nil {
			t.Fatalf("connection of %s after the second router has joined: %v", c.client, err)
		}
	}
	late := l.open(t, ecmpClients())
	if both, n := onBoth(append(early, late...)), viaSecond(late); both != 0 || n == 0 {
		t.Errorf(
			"%d clients are on both routers, want 0; %d connections are on the second, want some",
			both, n,
		)
	}
	if got := command(t, l.clients, "curl", "-sS", "http://198.51.100.11:9153/readyz"); got.status != 7 {
		t.Errorf("a client asks for the page: %+v, want exit status 7, refused", got)
	}

	checks := l.startChecks(t)
	tuntest.Wait(
		t, "both routers to be ready",
		func() bool { return strings.Contains(checks.Stdout(), "routers: 1/101/2/102\n") },
	)
	if err := first.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tuntest.Wait(
		t, "the dead router to leave the groups",
		func() bool { return strings.HasSuffix(checks.Stdout(), "routers: 2/102\n") },
	)
	for _, c := range append(early, late...) {
		err := c.alive()
		if isSecond(c) && err != nil {
			t.Errorf("connection of %s through the living router: %v", c.client, err)
		}
		if !isSecond(c) && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("connection of %s through the dead router: %v, want a reset", c.client, err)
		}
	}
	again := l.open(t, 0)
	if n := viaSecond(again); n != len(again) {
		t.Errorf("%d of %d new connections are on the living router", n, len(again))
	}
	want := viaSecond(late) + len(again)
	if n := len(second.waitRecords(t, want)); n != want {
		t.Errorf("the living router has %d records, want %d: those of its own connections", n, want)
	}
}

// isSecond reports whether a connection is carried by the second router.
func isSecond(c *ecmpConn) bool {
	return c.router == "203.0.113.133" || c.router == "2001:db8:4:1::1"
}

func viaSecond(all []*ecmpConn) (n int) {
	for _, c := range all {
		if isSecond(c) {
			n++
		}
	}
	return n
}

// onBoth returns the number of clients whose connections are on both routers.
func onBoth(all []*ecmpConn) (n int) {
	routers := make(map[string]map[bool]bool)
	for _, c := range all {
		if routers[c.client] == nil {
			routers[c.client] = make(map[bool]bool)
		}
		routers[c.client][isSecond(c)] = true
	}
	for _, r := range routers {
		if len(r) == 2 {
			n++
		}
	}
	return n
}

// TestECMPAlternatives measures the harm of all that configs/ecmp.md advises against.
func TestECMPAlternatives(t *testing.T) {
	t.Parallel()
	if !soak() {
		t.Skip("measures for the text: make soak")
	}
	for name, instead := range map[string][]string{
		"as the text says": nil,
		"hash over ports":  {"hash_policy=3", "hash_policy=1"},
		"plain groups":     {" type resilient buckets 256 idle_timer 300", ""},
		"each router once": {"/101", "", "/102", "", "/701", "", "/702", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newECMPLab(t)
			l.text = strings.NewReplacer(instead...).Replace(l.text)
			l.setUp(t)
			l.startGateway(t, 0)
			early := l.open(t, 0)
			l.startGateway(t, 1)
			l.do(t, "A router joins", "")
			lost := make(map[string]int)
			for _, c := range early {
				if c.alive() != nil {
					lost[c.server]++
				}
			}
			reportf(t, "lost of %d: %v; %d of %d clients on both routers", len(early)/2, lost,
				onBoth(l.open(t, ecmpClients())), 2*ecmpClients())
		})
	}
}
