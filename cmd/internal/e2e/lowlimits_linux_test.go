package e2e_test

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestLowLimits starts a router where a user may have one process. That says nothing for root, but
// for the user of its own that the router has.
func TestLowLimits(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	requireTools(t, "curl", "prlimit")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := &router{dir: t.TempDir()}
	r.Process = lab.Router.Start("prlimit", "--nproc=1", binary, "run", "-c", r.writeConfig(t, everything))
	r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", "--max-time", "60", url)
	}
	r.stop(t, unix.SIGTERM)
}

// TestFewDescriptors starts a router that holds most of the files that it may have open, and fewer
// from start to start, until it routes. Each start before fails with a remedy and leaves the host
// as it was. After a run that dies, starts that fail leave it closed.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "prlimit", "nft")
	lab := tuntest.NewLab(t)
	state := func() string { return lab.Router.State() + output(lab.Router, "nft", "list", "ruleset") }
	before := state()
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, everything)
	free := 8
	for ; !r.routesWith(t, lab, config, free); free++ {
		if r.Err() == nil || !strings.Contains(r.Stderr(), "LimitNOFILE=") || strings.Contains(r.Stderr(), "stays closed") {
			t.Errorf("with %d descriptors the router ends with %v: %s", free, r.Err(), r.Stderr())
		}
		if after := state(); after != before {
			t.Fatalf("with %d descriptors this is left: %s, want %s", free, after, before)
		}
	}
	closed := ""
	die := func() {
		if err := r.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.ended(t, "SIGKILL")
		closed = state()
	}
	for die(); free > 8; free-- {
		if r.routesWith(t, lab, config, free) {
			die()
		} else if after := state(); after != closed {
			t.Fatalf("with %d descriptors the host is not closed any more: %s, want %s", free, after, closed)
		}
	}
	lab.Router.Run(binary, "cleanup")
	if after := state(); after != before {
		t.Errorf("cleanup leaves %s, want %s", after, before)
	}
}

// routesWith starts a router that may open few files more, and reports whether it routes or ends.
func (r *router) routesWith(t *testing.T, lab *tuntest.Lab, config string, free int) (routes bool) {
	t.Helper()
	const limit, hold = 64, `for ((fd = $0; fd < 64; fd++)); do eval "exec $fd</dev/null"; done; exec "$@"`
	r.Process = lab.Router.Start("prlimit", "--nofile="+strconv.Itoa(limit), "bash", "-c", hold, strconv.Itoa(free), binary, "run", "-c", config)
	tuntest.Wait(t, "the router to end, or to route", func() bool {
		select {
		case <-r.Done():
			return true
		default:
			routes = routesTo(lab, "syntap0")
			return routes
		}
	})
	return routes
}

// TestFewSignals starts a router and a command whose user may have few signals that wait. The
// router lifts a soft limit.
func TestFewSignals(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	requireTools(t, "prlimit", "setpriv")
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, everything)
	r.Process = lab.Router.Start("prlimit", "--sigpending=1:1000", binary, "run", "-c", config)
	r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
	r.stop(t, unix.SIGTERM)
	for _, args := range [][]string{{"run", "-c", config}, {"exec", "--", "true"}} {
		line := append([]string{"--sigpending=1", "setpriv", "--bounding-set=-sys_resource", binary}, args...)
		got := command(t, lab.Router, "prlimit", line...)
		if got.status != 1 || !strings.Contains(got.stderr, "RLIMIT_SIGPENDING") || !strings.Contains(got.stderr, "hint: let it have more: ulimit -i 1024") {
			t.Errorf("%s with few signals: %+v", args, got)
		}
	}
}

// TestLowLimitsOfExec starts exec where Go's runtime might end it at any time, and where two
// processes can share no memory.
func TestLowLimitsOfExec(t *testing.T) {
	t.Parallel()
	requireTools(t, "prlimit")
	for limit, hint := range map[string]string{"--as=1500000000": "lift it, ulimit -v", "--fsize=1000": "ulimit -f unlimited"} {
		got := command(t, tuntest.NewNamespace(t), "prlimit", limit, binary, "exec", "--", "true")
		if got.status != 1 || !strings.HasPrefix(got.stderr, "syntap: ") || !strings.Contains(got.stderr, "\nhint: ") || !strings.Contains(got.stderr, hint) {
			t.Errorf("%s: %+v, want an error and a hint with %q", limit, got, hint)
		}
	}
}
