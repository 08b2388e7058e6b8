package route_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"syntap/tun/tuntest"
)

// TestWatchOutlivesErrors has the reading of the host fail, and the writing of the journal, while
// a rule of the host comes that selects the router's own sockets. Watch restores what is deleted
// meanwhile, and follows the rule once it can.
func TestWatchOutlivesErrors(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"read the host's network", "follow the host's network"} {
		t.Run(failing, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			ns := lab.Router
			before := ns.State()
			remove := open(t, ns, "syntap0")
			c := tracking()
			c.StateDir = t.TempDir()
			h := configure(t, ns, c)
			var mended atomic.Bool
			var failed atomic.Int64
			h.SetFailpoint(func(command string) error {
				if command != failing || mended.Load() {
					return nil
				}
				failed.Add(1)
				return errors.New("failpoint")
			})
			stop := watch(t, h)

			ns.Run("ip", "rule", "add", "pref", "789", "fwmark", "0x1/0x1", "lookup", "310")
			tuntest.Wait(t, "two failures", func() bool { return failed.Load() >= 2 })
			ns.Run("ip", "rule", "del", "pref", "5366")
			tuntest.Wait(t, "the rule to be restored", func() bool { return h.Restored() > 0 })
			has := func(rule string) bool { return strings.Contains(ns.Run("ip", "rule"), rule) }
			const skip = "788:\tfrom all fwmark 0x5359 goto 790"
			if has(skip) {
				t.Errorf("a rule that is not in the journal:\n%s", ns.Run("ip", "rule"))
			}
			mended.Store(true)
			tuntest.Wait(t, "the router's sockets to pass the rule", func() bool { return has(skip) })

			if err := stop(); err != nil {
				t.Errorf("Watch = %v", err)
			}
			ns.Run("ip", "rule", "del", "pref", "789")
			closeHost(t, h)
			remove()
			checkRestored(t, ns, c, before)
		})
	}
}
