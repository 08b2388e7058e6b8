package route_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// TestStrayGuard has a run die, and its journal be lost. Its guard stays while a rule leads to it,
// and is then deleted; the interfaces of others with such names are not.
func TestStrayGuard(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	c := tracking()
	c.StateDir = t.TempDir()
	die(t, ns, c)
	ns.Run("ip", "tuntap", "add", "dev", "guard7", "mode", "tun")
	ns.Run("ip", "link", "add", "guard8", "type", "bridge")
	journals, err := filepath.Glob(filepath.Join(c.StateDir, "*"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("journals are %q, %v, want one", journals, err)
	}
	if err := os.Remove(journals[0]); err != nil {
		t.Fatal(err)
	}
	has := func(name string) bool { return strings.Contains(ns.State(), ": "+name+":") }
	if got := cleanUp(t, ns, c, false); len(got) != 0 || !has("guard5359") {
		t.Errorf("Cleanup = %+v, want the guard to stay while rules lead to it", got)
	}
	for _, family := range []string{"-4", "-6"} {
		ns.Run("ip", family, "rule", "flush")
	}
	if got := cleanUp(t, ns, c, true); len(got) != 0 || !has("guard5359") {
		t.Errorf("Cleanup after a crash = %+v, want nothing", got)
	}
	want := []route.Cleaned{{Name: "guard5359", Commands: []string{"ip link del dev guard5359"}}}
	if diff := cmp.Diff(want, cleanUp(t, ns, c, false)); diff != "" || has("guard5359") {
		t.Errorf("Cleanup (-want +got):\n%s", diff)
	}
	if !has("guard7") || !has("guard8") {
		t.Errorf("Cleanup has deleted an interface of another program:\n%s", ns.State())
	}
}

// TestLostJournal has a run die whose journal is lost, such as that of a container in the host's
// network. The next one with its config takes over its changes.
func TestLostJournal(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, c route.Config) {
		ns := tuntest.NewNamespace(t)
		before := ns.State()
		c.StateDir = t.TempDir()
		die(t, ns, c)
		c.StateDir = t.TempDir()
		remove := open(t, ns, c.Name)
		closeHost(t, configure(t, ns, c))
		remove()
		checkRestored(t, ns, c, before)
	})
}

// TestGuardOfAnotherRun keeps the guard of a run that lives.
func TestGuardOfAnotherRun(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	c := tracking()
	c.StateDir = t.TempDir()
	open(t, ns, c.Name)
	h := configure(t, ns, c)
	defer closeHost(t, h)
	for _, family := range []string{"-4", "-6"} {
		ns.Run("ip", family, "rule", "flush")
	}
	want := []route.Cleaned{{Name: c.Name, Running: true}}
	if diff := cmp.Diff(want, cleanUp(t, ns, c, false)); diff != "" {
		t.Errorf("Cleanup (-want +got):\n%s", diff)
	}
	if !strings.Contains(ns.State(), ": guard5359:") {
		t.Error("Cleanup has deleted the guard of a run that lives")
	}
}

// TestGuardInNamespace has a guard restored on a thread of another network namespace: the kernel
// would make it there, and it would stay.
func TestGuardInNamespace(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	c := tracking()
	c.Table = 5398
	open(t, ns, c.Name)
	h := configure(t, ns, c)
	t.Cleanup(func() { closeHost(t, h) })
	const guard = "guard5398"
	t.Cleanup(func() { // what the test is to find would outlive it
		if l, err := netlink.LinkByName(guard); err == nil {
			t.Errorf("%s is in the namespace of the test", guard)
			_ = netlink.LinkDel(l)
		}
	})
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- h.Watch(ctx, route.Report{Repair: func(command string, err error) {
			if err != nil && strings.Contains(command, "tuntap add dev "+guard) {
				select {
				case failed <- err:
				default:
				}
			}
		}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Watch = %v", err)
		}
	})
	ns.Run("ip", "link", "del", guard)
	select {
	case err := <-failed:
		if !strings.Contains(err.Error(), "another network namespace") {
			t.Errorf("the guard fails to be restored with %v", err)
		}
	case <-time.After(tuntest.Patience):
		t.Error("the guard is not missed")
	}
}
