package e2e_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestOwnerOfRawPing: where the host grants no ping sockets, the router's raw sockets are not taken
// for those of a client.
func TestOwnerOfRawPing(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveOwned(t, lab)
	lab.Router.Sysctl("net.ipv4.ping_group_range", "1 0")
	r := run(t, lab.Router, "syntap0", everything)
	const pings = 3 // sockets of the router stay behind
	for range pings {
		words := asUser(12345, "exec ping -c 1 -W 30 "+tuntest.ServerAddr4)
		command(t, lab.Router, words[0], words[1:]...)
	}
	r.stop(t, unix.SIGTERM)
	all := openingsOf(t, r.read(t, "handshakes.json"))
	if len(all) != pings {
		t.Fatalf("%d records, want %d: %+v", len(all), pings, all)
	}
	for i, o := range all {
		if o.UID == nil || *o.UID != 12345 || o.Process != "ping" {
			t.Errorf("record %d is of %s", i, o.who())
		}
	}
}
