package route_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// die ends a run as SIGKILL does: the interface is deleted, no step is undone.
func die(t *testing.T, ns *tuntest.Namespace, c route.Config) {
	t.Helper()
	remove := open(t, ns, c.Name)
	configure(t, ns, c).Abandon()
	remove()
	waitDisowned(t, ns)
}

// waitDisowned waits until the table of a run that died has lost its owner: a child process of
// another test shares the owner's socket until its exec.
func waitDisowned(t *testing.T, ns *tuntest.Namespace) {
	t.Helper()
	tuntest.Wait(t, "the table to lose its owner", func() bool {
		return !strings.Contains(ns.Run("nft", "list", "ruleset"), " # progname ")
	})
}

// cleanUp calls Cleanup in ns.
func cleanUp(t *testing.T, ns *tuntest.Namespace, c route.Config, crashed bool) []route.Cleaned {
	t.Helper()
	var all []route.Cleaned
	if err := ns.Do(func() (err error) {
		all, err = route.Cleanup(c.StateDir, crashed)
		return err
	}); err != nil {
		t.Errorf("Cleanup: %v", err)
	}
	return all
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	inBothModes(t, cleanUpDead)
}

func cleanUpDead(t *testing.T, c route.Config) {
	ns := tuntest.NewNamespace(t)
	c.StateDir = t.TempDir()
	before := ns.State()
	die(t, ns, c)
	dead := ns.State()

	// A service manager that starts the router again leaves the host closed.
	kept := []route.Cleaned{{Name: "syntap0", Kept: true}}
	if diff := cmp.Diff(kept, cleanUp(t, ns, c, true)); diff != "" {
		t.Errorf("Cleanup after a crash (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(dead, ns.State()); diff != "" {
		t.Errorf("Cleanup after a crash changed (-before +after):\n%s", diff)
	}

	got := cleanUp(t, ns, c, false)
	want := []string{"ip -6 rule del pref 5365 lookup 5359"}
	if !c.ByRules {
		want = []string{
			"ip -6 rule del pref 5360 fwmark 0x53590000 lookup 5359",
			"nft delete table inet syntap0",
		}
	}
	for _, command := range want {
		if len(got) != 1 || got[0].Name != "syntap0" || !slices.Contains(got[0].Commands, command) {
			t.Errorf("Cleanup = %+v, want %q of syntap0", got, command)
		}
	}
	checkRestored(t, ns, c, before)
	if again := cleanUp(t, ns, c, false); len(again) != 0 {
		t.Errorf("second Cleanup = %+v, want nothing", again)
	}
}

// TestClosed asks for routes after a run that died.
func TestClosed(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	c := everything()
	c.Exclude = prefixes("198.51.100.0/24", "2001:db8:2::/64")
	die(t, lab.Router, c)
	for query, want := range map[string]string{
		"203.0.113.2":                         "dev guard5359",
		"2001:db8:3::2":                       "dev guard5359",
		"203.0.113.2 from 198.18.0.1":         "Network is unreachable", // not an address any more
		"2001:db8:3::2 from fd53:7974::1":     "dev guard5359",
		"203.0.113.2 from 192.0.2.2 iif lan0": "dev guard5359",
		"198.51.100.2":                        "dev wan0", // excluded
		"2001:db8:2::2":                       "dev wan0",
		"203.0.113.2 from 198.51.100.1":       "dev wan0", // replies
		"2001:db8:3::2 from 2001:db8:2::1":    "dev wan0",
		"203.0.113.2 oif wan0":                "dev wan0",
		"2001:db8:3::2 oif wan0":              "dev wan0",
		"fe80::1 oif wan0":                    "dev wan0",
		"203.0.113.2 mark 0x5359":             "dev wan0",
		"2001:db8:3::2 mark 0x5359":           "dev wan0",
	} {
		if got := routeTo(t, lab.Router, query); got != want {
			t.Errorf("route to %s = %s, want %s", query, got, want)
		}
	}
}

// TestCrashLoop dies three times. The journal must not grow with the runs.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, c route.Config) {
		ns := tuntest.NewNamespace(t)
		c.StateDir = t.TempDir()
		before := ns.State()
		for range 3 {
			die(t, ns, c)
		}
		if got := cleanUp(t, ns, c, false); len(got) != 1 {
			t.Errorf("Cleanup after three runs with one config = %+v, want one of them", got)
		}
		checkRestored(t, ns, c, before)
	})
}

func TestCleanupOpen(t *testing.T) {
	t.Parallel()
	inBothModes(t, cleanUpOpen)
}

func cleanUpOpen(t *testing.T, c route.Config) {
	lab := tuntest.NewLab(t)
	c.StateDir, c.Closed = t.TempDir(), false
	before := lab.Router.State()
	die(t, lab.Router, c)
	for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
		if got := routeTo(t, lab.Router, host+entering(c)); got != "dev wan0" {
			t.Errorf("open after a crash: route to %s = %s, want dev wan0", host, got)
		}
	}
	if got := cleanUp(t, lab.Router, c, true); len(got) != 1 || got[0].Kept {
		t.Errorf("Cleanup after a crash = %+v, want what an open run has left", got)
	}
	checkRestored(t, lab.Router, c, before)
}

// TestCrashAnywhere ends runs before each step of their beginning and of their end. Cleanup, or the
// next run, restores the host.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode          string
		c             route.Config
		phase, repair string
	}{
		{"by connection tracking", tracking(), "beginning", "cleanup"},
		{"by connection tracking", tracking(), "beginning", "next run"},
		{"by connection tracking", tracking(), "end", "cleanup"},
		{"by connection tracking", tracking(), "end", "next run"},
		{"by rules", everything(), "beginning", "cleanup"},
		{"by rules", everything(), "end", "next run"},
	} {
		t.Run(tt.mode+", "+tt.phase+", "+tt.repair, func(t *testing.T) {
			t.Parallel()
			ns := tuntest.NewNamespace(t)
			c := tt.c
			c.StateDir = t.TempDir()
			c.Exclude = prefixes("192.0.2.0/24")
			before := ns.State()
			for i := 0; crash(t, ns, c, tt.phase, i); i++ {
				if tt.repair == "cleanup" {
					cleanUp(t, ns, c, false)
				} else {
					remove := open(t, ns, c.Name)
					closeHost(t, configure(t, ns, c))
					remove()
				}
				checkRestored(t, ns, c, before)
				if t.Failed() {
					t.Fatalf("after a crash before step %d", i)
				}
			}
			checkRestored(t, ns, c, before)
		})
	}
}

// crash ends a run before step i of a phase. It returns false if there are fewer steps.
func crash(t *testing.T, ns *tuntest.Namespace, c route.Config, phase string, i int) bool {
	t.Helper()
	remove := open(t, ns, c.Name)
	defer func() {
		remove()
		waitDisowned(t, ns)
	}()
	var passed []string
	if phase == "beginning" {
		var h *route.Host
		err := ns.Do(func() (err error) {
			h, err = route.ConfigureFailing(c, true, failAfter(i, &passed))
			return err
		})
		if err == nil {
			closeHost(t, h)
		}
		return err != nil
	}
	h := configure(t, ns, c)
	h.SetFailpoint(failAfter(i, &passed))
	return h.Close() != nil
}

// TestTakeOver starts after a run that died, with another config. The host stays closed until the
// new run routes.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*route.Config){
		"same":     func(*route.Config) {},
		"family":   func(c *route.Config) { c.Include = prefixes("203.0.113.0/24") },
		"mark":     func(c *route.Config) { c.Mark = 0x77 },
		"table":    func(c *route.Config) { c.Table = 100 },
		"priority": func(c *route.Config) { c.Priority = 5356 },
		"exclude":  func(c *route.Config) { c.Exclude = prefixes("198.51.100.0/24") },
		"addresses": func(c *route.Config) {
			c.Addresses = prefixes("198.18.9.1/30", "fd53:7974::9/126")
		},
		"open": func(c *route.Config) { c.Closed, c.KeepInbound = false, false },
		"mode": func(c *route.Config) { c.ByRules = !c.ByRules },
	}
	inBothModes(t, func(t *testing.T, c route.Config) {
		for name, change := range tests {
			if !c.ByRules || name == "same" || name == "mode" || name == "table" {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					takeOver(t, c, name, change)
				})
			}
		}
	})
}

func takeOver(t *testing.T, c route.Config, name string, change func(*route.Config)) {
	lab := tuntest.NewLab(t)
	ns := lab.Router
	ns.Run("nft", tracks) // as the table of the run that died
	c.StateDir = t.TempDir()
	before := ns.State()
	fresh := c
	change(&fresh)
	remove := open(t, ns, c.Name)
	h := configure(t, ns, fresh)
	want := ns.State()
	closeHost(t, h)
	remove()
	checkRestored(t, ns, c, before)

	die(t, ns, c)
	remove = open(t, ns, c.Name)
	err := ns.Do(func() (err error) {
		h, err = route.ConfigureFailing(fresh, false, func(command string) error {
			for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
				if !held(t, ns, host) && !(name == "open" || name == "family") {
					t.Errorf("before %q: %s is reached past the TUN", command, host)
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	settle(t, ns)
	if name == "mark" { // the table and the rule keep the mark that they share
		dead := strings.NewReplacer("0x770000", "0x53590000", "0x00770000", "0x53590000")
		want = dead.Replace(want)
	}
	if diff := cmp.Diff(sortedLinks(want), sortedLinks(ns.State())); diff != "" {
		t.Errorf("state after a run that died (-without it +got):\n%s", diff)
	}
	closeHost(t, h)
	remove()
	checkRestored(t, ns, c, before)
}

// held reports whether packets of the host to an address enter a TUN or a guard: by the rules, or
// by the mark that the nftables table gives, with which they are dropped elsewhere.
func held(t *testing.T, ns *tuntest.Namespace, host string) bool {
	t.Helper()
	if routeTo(t, ns, host) != "dev wan0" {
		return true
	}
	out, err := ns.Command(t.Context(), "nft", "list", "table", "inet", "syntap0").Output()
	_, mark, ok := strings.Cut(string(out), "meta mark set ")
	if err != nil || !ok {
		return false
	}
	mark = strings.Fields(mark)[0]
	has := func(s string) bool { return strings.Contains(string(out), s) }
	return routeTo(t, ns, host+" mark "+mark) != "dev wan0" ||
		has("mark != "+mark+" accept") && has(" drop\n")
}

// sortedLinks sorts a state and removes the numbers of interfaces, which depend on the order of
// their creation, and the signs of guards that have carried IPv6 before.
func sortedLinks(state string) []string {
	var lines []string
	for line := range strings.Lines(state) {
		if strings.HasPrefix(line, "multicast ff00::/8 dev guard") {
			continue
		}
		number, rest, _ := strings.Cut(line, ": ")
		if strings.Trim(number, "0123456789") == "" && strings.Contains(rest, "mtu") {
			line = rest
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// TestCleanupAfterRollBack has a run fail that cannot undo one of its rules.
func TestCleanupAfterRollBack(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	c := tracking()
	c.StateDir = t.TempDir()
	before := ns.State()
	remove := open(t, ns, c.Name)
	failAt := func(command string) func(string) error {
		return func(c string) error {
			if strings.HasPrefix(c, command) {
				return errors.New("failpoint")
			}
			return nil
		}
	}
	const rule = "pref 5359 iif syntap0 goto 5366"
	if err := ns.Do(func() error {
		adding, undoing := failAt("ip -6 rule add pref 5360"), failAt("ip rule del "+rule)
		return route.ConfigureFailingTwice(c, adding, undoing)
	}); err == nil {
		t.Fatal("Configure succeeds")
	}
	remove()
	got := cleanUp(t, ns, c, false)
	if len(got) != 1 || !slices.Contains(got[0].Commands, "ip rule del "+rule) {
		t.Errorf("Cleanup = %+v, want the rule that was left", got)
	}
	checkRestored(t, ns, c, before)
}
