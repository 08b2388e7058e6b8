package e2e_test

import (
	"path/filepath"
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

// TestFewDescriptors starts a router that may open few files, and more from start to start, until
// it takes the TUN. Each start before fails with a remedy, and leaves the host as it was.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	requireTools(t, "prlimit", "nft")
	lab := tuntest.NewLab(t)
	state := func() string { return lab.Router.State() + output(lab.Router, "nft", "list", "ruleset") }
	before := state()
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, everything)
	for files := 8; ; files++ {
		r.Process = lab.Router.Start("prlimit", "--nofile="+strconv.Itoa(files), binary, "run", "-c", config)
		taken := false
		tuntest.Wait(t, "the router to end, or to take the TUN", func() bool {
			select {
			case <-r.Done():
				return true
			default:
			}
			taken = strings.Contains(r.Stderr(), "the limit of open files is below limits.tcp_flows")
			return taken
		})
		if taken {
			break
		}
		if r.Err() == nil || !strings.Contains(r.Stderr(), "LimitNOFILE=") || strings.Contains(r.Stderr(), "stays closed") {
			t.Errorf("with %d descriptors the router ends with %v: %s", files, r.Err(), r.Stderr())
		}
		if after := state(); after != before {
			t.Fatalf("with %d descriptors this is left: %s, want %s", files, after, before)
		}
		if files > 200 {
			t.Fatal("the router does not start")
		}
	}
	if err := r.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.ended(t, "SIGTERM")
	if after := state(); after != before {
		t.Errorf("this is left: %s, want %s", after, before)
	}
}

// TestFewDescriptorsAfterDeath has a run die, and another one fail at its start: the host stays
// closed.
func TestFewDescriptorsAfterDeath(t *testing.T) {
	t.Parallel()
	requireTools(t, "prlimit")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	if err := r.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.ended(t, "SIGKILL")
	closed := lab.Router.State()
	got := command(t, lab.Router, "prlimit", "--nofile=25", binary, "run", "-c", filepath.Join(r.dir, "syntap.yaml"))
	if got.status != 1 || !strings.Contains(got.stderr, "the host stays closed") {
		t.Errorf("a start with few descriptors: %+v", got)
	}
	if after := lab.Router.State(); after != closed {
		t.Errorf("the host is not closed any more: %s, want %s", after, closed)
	}
	lab.Router.Run(binary, "cleanup")
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
