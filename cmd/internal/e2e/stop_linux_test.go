package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// The host after a run, or beside one.

func TestStopLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveHTTP(t, lab, greeting)
			before := lab.Router.State()
			for range 2 {
				r := run(t, lab.Router, "syntap0", everything)
				lab.Router.Run("curl", "-sS", urls()[0])
				// A connection that is open does not hold up the end.
				conn, err := lab.Router.Dial(t.Context(), "tcp", tuntest.ServerAddr4+":80")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				r.stop(t, sig)
				wantState(t, lab.Router, before)
			}
		})
	}
}

// TestTwoRouters runs two routers with names, tables and destinations of their own side by side.
func TestTwoRouters(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	before := lab.Router.State()
	routers := make([]*router, 2)
	for i, host := range addresses() {
		routers[i] = &router{dir: t.TempDir()}
		device := fmt.Sprintf("tap%d", i)
		config := fmt.Sprintf(`
tun: {name: %s, addresses: [198.18.%[2]d.1/30, "fd53:7974::%[2]d:1/126"]}
route: {include: [%[3]q], table: %[4]d, priority: %[4]d}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`, device, i, host+map[int]string{0: "/32", 1: "/128"}[i], 5000+i*100)
		routers[i].Process = lab.Router.Start(binary, "run", "-c", routers[i].writeConfig(t, config))
		routers[i].wait(t, "a route to "+host, func() bool { return enters(lab.Router, host, device) })
	}
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
	}
	for i, r := range routers {
		if records := r.waitRecords(t, 1); len(records) != 1 || records[0].Dst != addresses()[i] {
			t.Errorf("router %d recorded %+v, want the connection to %s", i, records, addresses()[i])
		}
	}
	for _, r := range routers {
		r.stop(t, unix.SIGTERM)
	}
	wantState(t, lab.Router, before)
}

// TestSecondRunRefused starts a router where one is running.
func TestSecondRunRefused(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	first := run(t, lab.Router, "syntap0", everything)
	settle(t, lab.Router)
	before := lab.Router.State()
	second := &router{dir: t.TempDir()}
	for name, config := range map[string]string{
		"name":  everything,
		"table": strings.ReplaceAll(everything, "syntap0", "syntap1"),
	} {
		got := command(t, lab.Router, binary, "run", "-c", second.writeConfig(t, config))
		lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
		if got.status != 1 || len(lines) != 2 || !strings.HasPrefix(lines[0], "syntap: ") || !strings.HasPrefix(lines[1], "hint: ") {
			t.Errorf("second run with the same %s: %+v, want exit status 1, one line of error and one hint", name, got)
		}
		if diff := cmp.Diff(before, lab.Router.State()); diff != "" {
			t.Errorf("second run with the same %s changed (-before +after):\n%s", name, diff)
		}
	}
	lab.Router.Run("curl", "-sS", urls()[0])
	first.waitRecords(t, 1)
	first.stop(t, unix.SIGTERM)
}

// wantState fails the test if the configuration of a namespace is not as before.
func wantState(t *testing.T, ns *tuntest.Namespace, before string) {
	t.Helper()
	if diff := cmp.Diff(before, ns.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
}

// settle waits until the kernel has noticed that a guard has no carrier, which takes up to a
// second. From then on the host's state does not change by itself.
func settle(t *testing.T, ns *tuntest.Namespace) {
	t.Helper()
	tuntest.Wait(t, "the guard to lose its carrier", func() bool {
		for line := range strings.Lines(ns.State()) {
			has := func(s string) bool { return strings.Contains(line, s) }
			if has("dev guard") && !has("linkdown") && !has("local") || has(": guard") && !has("state DOWN") {
				return false
			}
		}
		return true
	})
}

// TestOperatorRoutes runs with an empty include: the router's sockets carry their mark, everything
// else is the operator's.
func TestOperatorRoutes(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	rules := lab.Router.Run("ip", "rule") + lab.Router.Run("ip", "-6", "rule")
	r := &router{dir: t.TempDir()}
	config := strings.Replace(everything, `include: [0.0.0.0/0, "::/0"]`, "include: [], mark: 0x77", 1)
	r.Process = lab.Router.Start(binary, "run", "-c", r.writeConfig(t, config))
	r.wait(t, "syntap0", func() bool {
		return strings.Contains(lab.Router.Run("ip", "-oneline", "link"), "syntap0: <POINTOPOINT,MULTICAST,NOARP,UP,")
	})
	if diff := cmp.Diff(rules, lab.Router.Run("ip", "rule")+lab.Router.Run("ip", "-6", "rule")); diff != "" {
		t.Errorf("rules (-before +after):\n%s", diff)
	}

	// The operator's part: the marked sockets have a table of their own.
	for _, args := range []string{
		"route add default via 198.51.100.2 table 100", "rule add fwmark 0x77 lookup 100 pref 100",
		"-6 route add default via 2001:db8:2::2 table 100", "-6 rule add fwmark 0x77 lookup 100 pref 100",
		"route add 203.0.113.0/24 dev syntap0", "-6 route add 2001:db8:3::/64 dev syntap0",
	} {
		lab.Router.Run("ip", strings.Fields(args)...)
	}
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
	}
	r.waitRecords(t, 2)
	r.stop(t, unix.SIGTERM)
}

// TestStopIsFinished sends a router more signals while it stops, and those of a terminal that goes
// away.
func TestStopIsFinished(t *testing.T) {
	t.Parallel()
	for _, signals := range [][]unix.Signal{
		{unix.SIGINT, unix.SIGINT}, {unix.SIGTERM, unix.SIGTERM, unix.SIGINT}, {unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE},
	} {
		t.Run(fmt.Sprint(signals), func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveHTTP(t, lab, greeting)
			before := lab.Router.State()
			for i := range scaled(5, 50) {
				r := run(t, lab.Router, "syntap0", everything)
				conn, err := lab.Router.Dial(t.Context(), "tcp", tuntest.ServerAddr4+":80")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				for _, signal := range signals {
					_ = r.Signal(signal) // it may have ended
					<-time.After(time.Duration(i%10) * time.Millisecond)
				}
				r.ended(t, "several signals")
				if err := r.Err(); err != nil {
					t.Errorf("ended with %v", err)
				}
				wantState(t, lab.Router, before)
			}
		})
	}
}

// TestSlowStop stops a router whose lines go to a program that does not read.
func TestSlowStop(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash")
	lab := tuntest.NewLab(t)
	go serveAll(lab.Server.Listen("tcp", tuntest.ServerAddr4+":80"), func(*net.TCPConn) {})
	before := lab.Router.State()
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, "tap: {log: [{format: classic, path: \"-\"}]}")
	r.Process = lab.Router.Start("bash", "-c", `exec "$0" run -c "$1" 1<>"$2"`, binary, config, fullPipe(t))
	r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
	dial(t, lab.Router, tuntest.ServerAddr4+":80").Close() // has lines that find no room
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		if err := r.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	r.ended(t, "SIGTERM")
	for _, text := range []string{"still stopping", "stopping already"} { // by itself, and at the second signal
		if !strings.Contains(r.Stderr(), text) {
			t.Errorf("router said\n%swant %q", r.Stderr(), text)
		}
	}
	wantState(t, lab.Router, before)
}

// fullPipe returns the path of a named pipe that has no room, and that the test holds open and does
// not read.
func fullPipe(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 1<<12))
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return path
}
