package e2e_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestStopped has the router's process not run for longer than an opening may take, in the middle
// of many. Nothing that came meanwhile is lost: it waits in the TUN and in the host sockets.
func TestStopped(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", withTapTimeout("1s"))
	const connections = 2000
	done := make(chan struct{})
	go func() {
		defer close(done)
		connectMany(t, lab, connections)
	}()
	for _, n := range []int{connections / 4, connections / 2} {
		r.waitRecords(t, n)
		if err := unix.Kill(r.routerPID(t), unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		<-time.After(3 * time.Second)
		if err := unix.Kill(r.routerPID(t), unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	r.waitRecords(t, connections)
	r.stop(t, unix.SIGTERM)
	for _, record := range r.records(t) {
		if record.Outcome != "established" {
			t.Errorf("record %+v, want it established", record)
		}
	}
}
