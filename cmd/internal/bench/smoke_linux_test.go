package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// TestMain is main too: the test binary runs itself as the children that it measures with.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		main()
	}
	tuntest.Main(m)
}

// brief are settings that show whether a figure can be measured, not its value.
func brief() settings {
	s := settings{window: 100 * time.Millisecond, held: 50, beside: 50, mtu: 1500}
	s.paths = make(map[string]string)
	return s
}

// TestEveryCase measures every case for a moment, with the plain relay and with syntap, and one
// with every variant of syntap.
func TestEveryCase(t *testing.T) {
	tuntest.RequireNetNS(t)
	binary := filepath.Join(t.TempDir(), "syntap")
	if out, err := exec.Command("go", "build", "-o", binary, "syntap/cmd/syntap").CombinedOutput(); err != nil {
		t.Fatalf("build syntap: %v\n%s", err, out)
	}
	left := t.TempDir()
	t.Setenv("TMPDIR", left)
	routers, paths, err := choose(routers(), measured(), func(string) string { return binary })
	if err != nil {
		t.Fatal(err)
	}
	r := runner{settings: brief(), repetitions: 1, progress: io.Discard}
	r.paths = paths
	quic := filepath.Join(t.TempDir(), "quicload")
	build := exec.Command("go", "build", "-C", "../../../tools/quicload", "-o", quic)
	if out, err := build.CombinedOutput(); err == nil {
		r.paths[quicload.command] = quic
	} else {
		t.Logf("build quicload, whose module may be out of reach: %v\n%s", err, out)
	}
	for _, router := range routers {
		for _, c := range cases() {
			possible := c.applies(router) && (!c.quic || r.paths[quicload.command] != "")
			if possible && (!router.variant || c.name == "connections") {
				t.Run(router.name+" "+c.name, func(t *testing.T) { tryCase(t, &r, c, router) })
			}
		}
	}
	if entries, err := os.ReadDir(left); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// measured returns the names of the plain relay, of syntap, and of its variants.
func measured() []string {
	all := []string{"relay"}
	for _, v := range variants() {
		all = append(all, "syntap"+v.suffix)
	}
	return all
}

// tryCase wants all figures of a case. On a machine that stalls for longer than the window there
// may be none at first.
func tryCase(t *testing.T, r *runner, c benchCase, router router) {
	t.Helper()
	var (
		found figures
		err   error
	)
	deadline := time.Now().Add(tuntest.Patience)
	for n := 0; n < 5 || time.Now().Before(deadline); n++ {
		found, err = r.try(t.Context(), c, router)
		missing := slices.ContainsFunc(c.figures, func(name string) bool { return !(found[name] > 0 || name == idleWakeups) })
		if err == nil && !missing {
			return
		}
	}
	t.Errorf("%s, %s: %v, %v, want %q", router.name, c.name, found, err, c.figures)
}

// Routers that take turns have as many results each, and between turns no load runs.
func TestTakeTurns(t *testing.T) {
	tuntest.RequireNetNS(t)
	routers, paths, err := choose(routers(), []string{direct, "relay"}, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 2
	r := runner{settings: brief(), progress: io.Discard, results: make(results)}
	r.window, r.paths = rounds*turn, paths
	c := rate("connections", "connect", 2)
	var loads []*child
	start, found := c.start, c.found
	c.start = func(t *trial) (*child, error) {
		load, err := start(t)
		loads = append(loads, load)
		return load, err
	}
	c.found = func(of *trial, s span) (figures, error) {
		for _, load := range loads {
			tuntest.Wait(t, "load to stop", func() bool {
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", load.cmd.Process.Pid))
				return err == nil && strings.Contains(string(stat), ") T ")
			})
		}
		return found(of, s)
	}
	if err := r.takeTurns(t.Context(), c, routers); err != nil {
		t.Fatal(err)
	}
	for _, router := range routers {
		if n := len(r.results[router.name][c.figures[0]]); n != rounds {
			t.Errorf("%s: %d results, want %d", router.name, n, rounds)
		}
	}
}

// TestInterrupt ends a run in its second trial.
func TestInterrupt(t *testing.T) {
	tuntest.RequireNetNS(t)
	left := t.TempDir()
	t.Setenv("TMPDIR", left)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	said := make(interruptible, 1)
	routers, _, err := choose(routers(), []string{"direct", "relay"}, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	r := runner{settings: brief(), routers: routers, cases: cases(), repetitions: 1, progress: said}
	go func() {
		<-said
		interrupt()
	}()
	if err := r.run(ctx); err == nil || err.Error() != "interrupted" {
		t.Errorf("run = %v, want interrupted", err)
	}
	if entries, err := os.ReadDir(left); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// interruptible tells when progress reaches the plain relay.
type interruptible chan struct{}

func (i interruptible) Write(b []byte) (int, error) {
	if strings.HasPrefix(string(b), "measuring relay") {
		select {
		case i <- struct{}{}:
		default:
		}
	}
	return len(b), nil
}

// TestBrokenRouter has a router that ends at once: a note, and no figure.
func TestBrokenRouter(t *testing.T) {
	tuntest.RequireNetNS(t)
	broken := router{name: "broken", program: program{command: "broken"}, args: []string{"-c", "echo out of order >&2; exit 3"}}
	r := runner{settings: brief(), routers: []router{broken}, cases: cases()[:1], repetitions: 2, progress: io.Discard}
	r.paths["broken"] = "/bin/sh"
	if err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.notes) != 1 || !strings.HasSuffix(r.notes[0], "exit status 3: out of order") {
		t.Errorf("notes = %q, want one that says what broken said", r.notes)
	}
	if n := len(r.results["broken"]); n != 0 {
		t.Errorf("%d figures of a broken router", n)
	}
}
