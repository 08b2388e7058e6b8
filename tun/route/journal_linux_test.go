package route_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// journalOf returns the path of the only journal in a directory.
func journalOf(t *testing.T, dir string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("journals are %q, %v, want one", all, err)
	}
	return all[0]
}

// damages are the ways in which a journal may have been lost, with the fault that is named.
var damages = map[string]struct {
	damage func(path string) error
	fault  string
}{
	"garbage": {func(path string) error { return os.WriteFile(path, []byte("x\n"), 0o600) }, ", line 1: invalid character 'x'"},
	"no run":  {func(path string) error { return os.WriteFile(path, []byte("{}\n"), 0o600) }, `, line 1: it is of interface ""`},
	"no routes": {
		func(path string) error { return os.WriteFile(path, []byte("{\"Name\":\"syntap0\"}\n"), 0o600) },
		", line 1: it is not of a run that routes",
	},
	"line behind": {func(path string) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("null\n")
		return errors.Join(err, f.Close())
	}, ", line 2: "},
	"directory": {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, " is no ordinary file"},
	"pipe":      {func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) }, " is no ordinary file"},
	"link":      {func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) }, " is no ordinary file"},
	"too large": {func(path string) error { return os.Truncate(path, 65<<20) }, " has more than 64 MiB"},
}

// TestDamagedJournal has a run die, and its journal be damaged. The next run and Cleanup name the
// fault and change nothing; CleanupAs undoes the changes.
func TestDamagedJournal(t *testing.T) {
	t.Parallel()
	for name, d := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := tuntest.NewNamespace(t)
			c := tracking()
			c.StateDir = t.TempDir()
			before := ns.State()
			die(t, ns, c)
			path := journalOf(t, c.StateDir)
			if err := d.damage(path); err != nil {
				t.Fatal(err)
			}
			dead := ns.State()
			want := path + d.fault
			remove := open(t, ns, c.Name)
			if _, err := tryConfigure(ns, c); !errors.Is(err, route.ErrJournal) || !strings.Contains(err.Error(), want) {
				t.Errorf("Configure = %v, want %q", err, want)
			}
			if err := cleanUpAs(ns, c); !errors.Is(err, route.ErrRunning) {
				t.Errorf("CleanupAs beside its interface = %v, want %v", err, route.ErrRunning)
			}
			remove()
			var all []route.Cleaned
			err := ns.Do(func() (err error) {
				all, err = route.Cleanup(c.StateDir, false)
				return err
			})
			if !errors.Is(err, route.ErrJournal) || !strings.Contains(err.Error(), want) || len(all) != 0 {
				t.Errorf("Cleanup = %v, %v, want %q", all, err, want)
			}
			if diff := cmp.Diff(dead, ns.State()); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
			if err := cleanUpAs(ns, c); err != nil {
				t.Errorf("CleanupAs: %v", err)
			}
			checkRestored(t, ns, c, before)
		})
	}
}

func cleanUpAs(ns *tuntest.Namespace, c route.Config) error {
	return ns.Do(func() error {
		_, err := route.CleanupAs(c)
		return err
	})
}

// TestCleanUpOthers has CleanupAs leave everything of others alone, of the same names and numbers.
func TestCleanUpOthers(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	c := tracking()
	c.StateDir = t.TempDir()
	ns.Run("ip", "rule", "add", "pref", "5360", "fwmark", "7", "lookup", "5359")
	ns.Run("ip", "link", "add", "guard5359", "type", "bridge")
	ns.Run("nft", "add table inet syntap0; add chain inet syntap0 mine")
	before := ns.State()
	if err := cleanUpAs(ns, c); !errors.Is(err, route.ErrInUse) {
		t.Errorf("CleanupAs beside another table of its name = %v, want %v", err, route.ErrInUse)
	}
	if diff := cmp.Diff(before, ns.State()); diff != "" {
		t.Errorf("changed (-before +after):\n%s", diff)
	}
	ns.Run("nft", "delete table inet syntap0")
	before = ns.State()
	if err := cleanUpAs(ns, c); err != nil {
		t.Errorf("CleanupAs: %v", err)
	}
	if diff := cmp.Diff(before, ns.State()); diff != "" {
		t.Errorf("changed (-before +after):\n%s", diff)
	}
}

// TestFreeOnes has others take the priorities and the table of a run: the error has free ones, with
// which it begins.
func TestFreeOnes(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	var rules strings.Builder
	for p := 5300; p <= 5500; p++ {
		fmt.Fprintf(&rules, "rule add pref %d fwmark 7 lookup 7\n", p)
	}
	file := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ns.Run("ip", "-6", "-batch", file)
	ns.Run("ip", "route", "add", "blackhole", "192.0.2.0/24", "table", "5359")
	open(t, ns, "syntap0")
	c := tracking()
	var used *route.InUseError
	_, err := tryConfigure(ns, c)
	if !errors.As(err, &used) || used.Table != 5360 || used.Priority != 0 {
		t.Fatalf("Configure = %#v, want the table 5360", err)
	}
	c.Table = used.Table
	_, err = tryConfigure(ns, c)
	if !errors.As(err, &used) || used.Priority != 5292 || used.Table != 0 {
		t.Fatalf("Configure = %#v, want the priority 5292", err)
	}
	c.Priority = used.Priority
	closeHost(t, configure(t, ns, c))
}
