package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestOwner has two users of this host and another machine open connections. Records name the first two, with their process.
func TestOwner(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "setpriv")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "name: syntap0", "name: syntap0, sources: [host, 192.0.2.0/24]", 1))
	lab.Router.Run("curl", "-sS", urls()[0])
	lab.Router.Run("setpriv", "--reuid=12345", "--clear-groups", "curl", "-sS", urls()[1])
	lab.Client.Run("curl", "-sS", urls()[0])
	r.waitRecords(t, 3)
	r.stop(t, unix.SIGTERM)

	type owner struct {
		UID     *uint32
		PID     int
		Process string
		Msg     string
	}
	var got []owner
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		var o owner
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		if o.Msg == "handshake" {
			got = append(got, o)
		}
	}
	for i, uid := range []uint32{0, 12345} {
		if o := got[i]; o.UID == nil || *o.UID != uid || o.PID == 0 || o.Process != "curl" {
			t.Errorf("record of user %d: %+v, want a process curl", uid, o)
		}
	}
	if o := got[2]; o.UID != nil || o.PID != 0 {
		t.Errorf("record of another machine: %+v, want no owner", o)
	}
}
