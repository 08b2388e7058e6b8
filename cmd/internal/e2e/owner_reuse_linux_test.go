package e2e_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestOwnerOfReusedPort: a program that takes the UDP port of another has a record of its own.
func TestOwnerOfReusedPort(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveOwned(t, lab)
	r := run(t, lab.Router, "syntap0", everything)
	// Each of three programs waits until more than a second lies behind the one before it.
	send := "sleep 1.1; echo | nc -u -W 1 -w 30 -p 4567 " + tuntest.ServerAddr4 + " 7000"
	want := []uint32{12345, 12346, 12345}
	for _, uid := range want {
		words := asUser(uid, send)
		command(t, lab.Router, words[0], words[1:]...)
	}
	r.stop(t, unix.SIGTERM)
	all := openingsOf(t, r.read(t, "handshakes.json"))
	if len(all) != len(want) {
		t.Fatalf("%d records, want %d: %+v", len(all), len(want), all)
	}
	for i, uid := range want {
		if all[i].UID == nil || *all[i].UID != uid || all[i].PID == 0 {
			t.Errorf("record %d: %s, want uid %d", i, all[i].who(), uid)
		}
	}
}
