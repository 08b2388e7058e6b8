package e2e_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRoutersBeside has a second router take some of the destinations of the first one. A
// connection goes through one of them, not from one to the other and back.
func TestRoutersBeside(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	first := run(t, h.Router, "syntap0", sourcesOfLAN)
	second := run(t, h.Router, "syntap1", `
tun: {name: syntap1, addresses: [198.18.0.5/30, "fd53:7974::5/126"]}
route: {include: [203.0.113.0/24, "2001:db8:3::/64"], table: 5400, priority: 5300, mark: 0x5400}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`)
	first.wait(t, "the first router to notice the second", func() bool {
		return strings.Contains(output(h.Router, "nft", "list", "chain", "inet", "syntap0", "local_new"), "0x00005400")
	})
	second.wait(t, "the second to have started", func() bool { return strings.Contains(second.Stderr(), "msg=routing") })
	if said := second.Stderr(); strings.Count(said, "level=warning") != 1 || !strings.Contains(said, "the router of syntap0 is beside this one") {
		t.Errorf("the second router says\n%s\nwant one word of the first one", said)
	}
	h.callAll(t, "beside each other", call{ns: h.Router}, "world")
	both := func() int { return len(first.records(t)) + len(second.records(t)) }
	first.wait(t, "records of both connections", func() bool { return both() >= 2 })
	second.stop(t, unix.SIGTERM)
	h.callAll(t, "the first alone", call{ns: h.Router}, "world")
	first.wait(t, "records of the others", func() bool { return both() >= 4 })
	first.stop(t, unix.SIGTERM)
	if n := both(); n != 4 {
		t.Errorf("%d records of 4 connections", n)
	}
}

// TestRoutersOfOneMark has a second router use the mark of the first one, so that the packets of
// both are logged to each. Neither takes the other's for its own, unrecorded.
func TestRoutersOfOneMark(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	first := run(t, h.Router, "syntap0", sourcesOfLAN)
	second := run(t, h.Router, "syntap1", `
tun: {name: syntap1, addresses: [198.18.0.5/30, "fd53:7974::5/126"]}
route: {include: [203.0.113.0/24, "2001:db8:3::/64"], table: 5400, priority: 5300}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`)
	h.callAll(t, "with one mark", call{ns: h.Router}, "world")
	const said = "another router on this host has the same route.mark"
	first.wait(t, "a router to see the other's packets", func() bool {
		return strings.Contains(first.Stderr()+second.Stderr(), said)
	})
	h.callAll(t, "when they know", call{ns: h.Router}, "world")
	second.stop(t, unix.SIGTERM)
	h.callAll(t, "the first alone", call{ns: h.Router}, "world")
	first.stop(t, unix.SIGTERM)
}
