package route_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// watch runs h.Watch. stop ends it and returns its error. If the test fails before, it ends before
// h is closed, which a cleanup has to do.
func watch(t *testing.T, h *route.Host) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- h.Watch(ctx, route.Report{Repair: func(command string, err error) {
			if err != nil {
				t.Logf("not repaired yet: %v", err)
			}
		}})
		close(ended)
	}()
	stop = func() error {
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = stop() }) // the test has had the error, or has failed
	return stop
}

// routing returns the rules, and the routes of the router's table, sorted: a restored route comes
// last in a listing.
func routing(ns *tuntest.Namespace) []string {
	var lines []string
	for _, command := range []string{
		"ip rule", "ip route show table 5359", "ip -6 rule", "ip -6 route show table 5359",
		"ip -brief address show dev syntap0",
	} {
		words := strings.Fields(command)
		for line := range strings.Lines(ns.Run(words[0], words[1:]...)) {
			lines = append(lines, words[0]+words[1]+": "+strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return lines
}

// waitRouting waits until the rules and routes are as wanted.
func waitRouting(t *testing.T, ns *tuntest.Namespace, after string, want []string) {
	t.Helper()
	tuntest.Wait(t, "the rules and routes to come back after "+after, func() bool {
		return cmp.Equal(want, routing(ns))
	})
}

// TestWatchRestores deletes the rules and routes of the router, one at a time.
func TestWatchRestores(t *testing.T) {
	t.Parallel()
	inBothModes(t, restore)
}

func restore(t *testing.T, c route.Config) {
	ns := tuntest.NewNamespace(t)
	before := ns.State()
	remove := open(t, ns, "syntap0")
	c.Exclude = prefixes("192.0.2.0/24")
	h := configure(t, ns, c)
	want := routing(ns)
	stop := watch(t, h)

	var deletions []string
	for _, ip := range []string{"ip", "ip -6"} {
		for line := range strings.Lines(ns.Run("sh", "-c", ip+" rule")) {
			pref, text, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			if strings.HasPrefix(pref, "53") {
				deletions = append(deletions, fmt.Sprintf("%s rule del pref %s %s", ip, pref, text))
			}
		}
		for line := range strings.Lines(ns.Run("sh", "-c", ip+" route show table 5359")) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " pref ")
			if ip == "ip" {
				line += " scope global" // ip does not show it, and needs it
			}
			line = strings.ReplaceAll(line, " linkdown", "")
			deletions = append(deletions, ip+" route del "+line+" table 5359")
		}
	}
	deletions = append(deletions, "ip address del 198.18.0.1/30 dev syntap0",
		"ip address del fd53:7974::1/126 dev syntap0")
	rules := 7 + 7
	if !c.ByRules {
		rules = 5 + 3
	}
	if len(deletions) != rules+5+4+2 {
		t.Errorf("deletions are %d, want all that Configure adds:\n%s",
			len(deletions), strings.Join(deletions, "\n"))
	}
	for i, d := range deletions {
		words := strings.Fields(d)
		ns.Run(words[0], words[1:]...)
		tuntest.Wait(t, "the watcher to notice "+d, func() bool { return h.Restored() > uint64(i) })
		waitRouting(t, ns, d, want)
	}
	if !c.ByRules {
		flushTables(t, ns)
	}
	if err := stop(); err != nil {
		t.Errorf("Watch = %v", err)
	}
	closeHost(t, h)
	remove()
	checkRestored(t, ns, c, before)
}

// flushTables flushes the ruleset, as firewalls do, and removes parts of the router's table. A
// table with an owner stays; on a kernel without owners it comes back.
func flushTables(t *testing.T, ns *tuntest.Namespace) {
	t.Helper()
	list := func(how string) string {
		out, _ := ns.Command(t.Context(), "nft", how, "list", "table", "inet", "syntap0").Output()
		return string(out)
	}
	want, handles := list("-n"), list("-a")
	ns.Run("nft", "add", "table", "inet", "another")
	ns.Run("nft", "flush", "ruleset")
	if strings.Contains(ns.Run("nft", "list", "tables"), "another") {
		t.Error("nft flush ruleset leaves another table")
	}
	if got := list("-a"); got != handles && kernelHas(t, 6, 9) {
		t.Errorf("the table after nft flush ruleset (-before +after):\n%s", cmp.Diff(handles, got))
	}
	slow := 0 // until the watcher looks by itself
	for _, command := range []string{
		"flush ruleset", "flush chain inet syntap0 local", "delete table inet syntap0",
	} {
		// An owned table refuses it.
		_ = ns.Command(t.Context(), "nft", strings.Fields(command)...).Run()
		start := time.Now()
		tuntest.Wait(t, "the nftables table to come back after "+command, func() bool {
			return list("-n") == want
		})
		if time.Since(start) > 5*time.Second {
			slow++
		}
	}
	if slow > 1 { // one by a machine that stalls
		t.Errorf("the table has come back late after %d changes", slow)
	}
}

// kernelHas reports whether the kernel is of a version or a later one.
func kernelHas(t *testing.T, major, minor int) bool {
	t.Helper()
	var u unix.Utsname
	var x, y int
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &x, &y); err != nil {
		t.Fatal(err)
	}
	return x > major || x == major && y >= minor
}

// TestWatchDoesNotSpin deletes a rule as fast as the watcher restores it.
func TestWatchDoesNotSpin(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	open(t, ns, "syntap0")
	h := configure(t, ns, everything())
	t.Cleanup(func() { closeHost(t, h) })
	want := routing(ns)
	start := time.Now()
	stop := watch(t, h)
	for h.Restored() < 8 {
		// It fails while the rule is not restored.
		_ = ns.Command(t.Context(), "ip", "rule", "del", "pref", "5365").Run()
		if time.Since(start) > tuntest.Patience {
			t.Fatalf("%d rules restored in %v, want 8", h.Restored(), tuntest.Patience)
		}
	}
	if took := time.Since(start); took < 7*250*time.Millisecond {
		t.Errorf("8 repairs in %v, want 250 ms between them", took)
	}
	waitRouting(t, ns, "the last deletion", want)
	if err := stop(); err != nil {
		t.Errorf("Watch = %v", err)
	}
}

func TestWatchInterfaceDown(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	ns := lab.Router
	open(t, ns, "syntap0")
	h := configure(t, ns, everything())
	t.Cleanup(func() { closeHost(t, h) })
	want := routing(ns)
	ns.Run("ip", "link", "set", "syntap0", "down")
	for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
		if got := routeTo(t, ns, host); got != "dev guard5359" {
			t.Errorf("interface down: route to %s = %s, want dev guard5359", host, got)
		}
	}
	stop := watch(t, h)
	waitRouting(t, ns, "down", want)
	ns.Run("ip", "link", "set", "syntap0", "down")
	waitRouting(t, ns, "down again", want)
	if err := stop(); err != nil {
		t.Errorf("Watch = %v", err)
	}
}

func TestWatchInterfaceDeleted(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	ns := lab.Router
	c := everything()
	c.StateDir = t.TempDir()
	before := ns.State()
	open(t, ns, "syntap0")
	h := configure(t, ns, c)
	ended := make(chan error, 1)
	report := route.Report{Repair: func(string, error) {}}
	go func() { ended <- h.Watch(context.Background(), report) }()
	ns.Run("ip", "link", "del", "syntap0")
	select {
	case err := <-ended:
		if !errors.Is(err, route.ErrGone) {
			t.Errorf("Watch = %v, want ErrGone", err)
		}
	case <-time.After(tuntest.Patience):
		t.Fatal("Watch continues without the interface")
	}
	h.Abandon()
	for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
		if got := routeTo(t, ns, host); got != "dev guard5359" {
			t.Errorf("interface deleted: route to %s = %s, want dev guard5359", host, got)
		}
	}
	cleanUp(t, ns, c, false)
	checkRestored(t, ns, c, before)
}

// TestWatchOverrun makes more changes than the socket has room for messages.
func TestWatchOverrun(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	ns := lab.Router
	open(t, ns, "syntap0")
	h := configure(t, ns, everything())
	t.Cleanup(func() { closeHost(t, h) })
	want := routing(ns)

	// Watch does not run yet: the messages of the deletions come after the socket is full.
	var batch strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&batch, "route add 10.%d.%d.%d/32 dev wan0\n", i>>16, i>>8&255, i&255)
	}
	batch.WriteString("rule del pref 5365\nroute del default dev syntap0 scope global table 5359\n")
	cmd := ns.Command(t.Context(), "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v\n%s", err, out)
	}
	stop := watch(t, h)
	waitRouting(t, ns, "an overrun", want)
	ns.Run("ip", "rule", "del", "pref", "5365")
	waitRouting(t, ns, "a deletion after the overrun", want)
	if err := stop(); err != nil {
		t.Errorf("Watch = %v", err)
	}
}

// TestNoticesSettle has a firewall that drops all packets while it loads its rules: Watch does not
// tell of it until the next reading. What is cured it forgets at once.
func TestNoticesSettle(t *testing.T) {
	t.Parallel()
	old, loading := route.Notice{Text: "an old one"}, route.Notice{Text: "a chain drops all"}
	var seen []route.Notice
	for i, reading := range []struct {
		now, standing []route.Notice
		more          bool
	}{
		{[]route.Notice{old}, nil, true},
		{[]route.Notice{old}, []route.Notice{old}, false},
		{[]route.Notice{loading, old}, []route.Notice{old}, true},
		{[]route.Notice{old}, []route.Notice{old}, false},
		{[]route.Notice{loading}, nil, true},
		{[]route.Notice{loading}, []route.Notice{loading}, false},
		{nil, nil, false},
	} {
		standing, more := route.Settled(seen, reading.now)
		if !slices.Equal(standing, reading.standing) || more != reading.more {
			t.Errorf("reading %d: %v, %v, want %v, %v", i, standing, more, reading.standing, reading.more)
		}
		seen = reading.now
	}
}
