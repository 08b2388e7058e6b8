package e2e_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestOwnersAfterReload: where the first JSON log comes with a reload, its records name owners, and
// rules by user are in force.
func TestOwnersAfterReload(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveOwned(t, lab)
	const (
		text  = "tap:\n  log:\n    - {format: modern, path: DIR/handshakes.txt}\n"
		rules = "egress: {rules: [{uid: [12346], verdict: deny}]}\n"
	)
	r := run(t, lab.Router, "syntap0", text)
	send := func(uid uint32) {
		words := asUser(uid, "curl -s http://"+tuntest.ServerAddr4+"/; echo | nc -u -W 1 -w 30 "+tuntest.ServerAddr4+" 7000")
		command(t, lab.Router, words[0], words[1:]...)
	}
	send(12345)
	if said := r.reload(t, text+"    - {format: json, path: DIR/handshakes.json}\n"+rules); !strings.Contains(said, "config reloaded") {
		t.Fatal(said)
	}
	send(12345)
	send(12346)
	r.stop(t, unix.SIGTERM)
	all := openingsOf(t, r.read(t, "handshakes.json"))
	if len(all) != 4 {
		t.Fatalf("%d records, want 4: %+v", len(all), all)
	}
	for i, uid := range []uint32{12345, 12345, 12346, 12346} {
		if o := all[i]; o.UID == nil || *o.UID != uid || o.PID == 0 || (o.Verdict == "deny") != (uid == 12346) {
			t.Errorf("record %d: %s, verdict %s, want uid %d", i, o.who(), o.Verdict, uid)
		}
	}
}
