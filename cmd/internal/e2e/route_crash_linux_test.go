package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// countLeaks counts what leaves the host without the router's mark and opens something: SYNs, datagrams and pings to the
// lab's server. The function returned reads the counter, or ends the count.
func countLeaks(ns *tuntest.Namespace) (leaks func() string, end func()) {
	ns.Run("nft", fmt.Sprintf(`
		add table inet leaks
		add chain inet leaks out { type filter hook output priority 0; }
		add counter inet leaks leaked
		add rule inet leaks out oifname != "wan0" accept
		add rule inet leaks out meta mark 0x5359 accept
		add rule inet leaks out ip daddr %[1]s tcp flags & (syn | ack) == syn counter name leaked
		add rule inet leaks out ip6 daddr %[2]s tcp flags & (syn | ack) == syn counter name leaked
		add rule inet leaks out ip daddr %[1]s udp dport 7000 counter name leaked
		add rule inet leaks out ip6 daddr %[2]s udp dport 7000 counter name leaked
		add rule inet leaks out icmp type echo-request counter name leaked
		add rule inet leaks out icmpv6 type echo-request counter name leaked`, tuntest.ServerAddr4, tuntest.ServerAddr6))
	leaks = func() string {
		return regexp.MustCompile(`packets \d+`).FindString(ns.Run("nft", "list", "counter", "inet", "leaks", "leaked"))
	}
	return leaks, func() { ns.Run("nft", "delete", "table", "inet", "leaks") }
}

// knock keeps trying to reach the lab's server in every way, whatever comes of it, until the test ends.
func knock(ns *tuntest.Namespace) {
	for _, host := range addresses() {
		http := "http://" + net.JoinHostPort(host, "80")
		for _, script := range []string{
			"while :; do curl -s -o /dev/null --max-time 3 " + http + "; done",
			"while :; do echo knock | nc -u -w 1 " + host + " 7000; done",
			"ping -n -q -i 0.01 " + host + " || while :; do ping -n -q -c 3 -i 0.01 -W 1 " + host + "; done",
		} {
			ns.Start("sh", "-c", script)
		}
	}
}

// TestNothingLeaksAfterKill kills and starts a router again and again at random moments under traffic.
func TestNothingLeaksAfterKill(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nc", "nft", "ping")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	before := lab.Router.State()
	r := run(t, lab.Router, "syntap0", everything)
	leaks, end := countLeaks(lab.Router)
	knock(lab.Router)
	rounds := scaled(4, 100)
	for i := range rounds {
		// At any moment of the beginning, or after it. The first router is the one that let the traffic in.
		if i%2 == 0 {
			r.waitRecords(t, 1)
		} else {
			<-time.After(rand.N(100 * time.Millisecond)) // a random moment, not a condition
		}
		if err := r.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.ended(t, "SIGKILL")
		for _, host := range addresses() {
			if got := command(t, lab.Router, "nc", "-z", "-w", "1", host, "80"); got.status != 1 {
				t.Errorf("round %d: nc to %s while the router is dead: %+v, want exit status 1", i, host, got)
			}
		}
		if got := leaks(); got != "packets 0" {
			t.Fatalf("round %d: %s left the host past the router", i, got)
		}
		r = &router{dir: t.TempDir()}
		r.Process = lab.Router.Start(binary, "run", "-c", r.writeConfig(t, everything))
	}
	r.waitRecords(t, 1)
	if got := leaks(); got != "packets 0" {
		t.Errorf("%s left the host past the router", got)
	}
	r.stop(t, unix.SIGTERM)
	end()
	if diff := cmp.Diff(before, lab.Router.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
}

// TestCleanup opens the host by hand after a run that died.
func TestCleanup(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	before := lab.Router.State()
	nothing := result{stdout: "nothing to clean up\n"}
	if got := command(t, lab.Router, binary, "cleanup"); got != nothing {
		t.Errorf("cleanup on an untouched host: %+v, want %+v", got, nothing)
	}
	r := run(t, lab.Router, "syntap0", everything)
	if got := command(t, lab.Router, binary, "cleanup"); got != (result{stdout: "syntap0 is running, left alone\n"}) {
		t.Errorf("cleanup beside a running router: %+v", got)
	}
	if err := r.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.ended(t, "SIGKILL")
	for _, url := range urls() {
		if got := command(t, lab.Router, "curl", "-sS", "--connect-timeout", "1", url); got.status == 0 {
			t.Errorf("curl %s after SIGKILL: %+v, want no answer", url, got)
		}
	}
	if got := command(t, lab.Router, binary, "cleanup", "--result", "signal"); got != (result{stdout: "syntap0 stays closed, as on_crash says\n"}) {
		t.Errorf("cleanup of a service that was killed: %+v", got)
	}

	got := command(t, lab.Router, binary, "cleanup")
	for _, line := range []string{
		"ip rule del pref 5365 lookup 5359\n", "ip -6 rule del pref 5365 lookup 5359\n",
		"ip tuntap del dev guard5359 mode tun\n", "syntap0 cleaned up\n",
	} {
		if got.status != 0 || !strings.Contains(got.stdout, line) {
			t.Errorf("cleanup: %+v, want exit status 0 and %q", got, line)
		}
	}
	if diff := cmp.Diff(before, lab.Router.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
	if got := command(t, lab.Router, binary, "cleanup"); got != nothing {
		t.Errorf("second cleanup: %+v, want %+v", got, nothing)
	}
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
	}
}

// TestCrashOpen lets the traffic out when the router is dead.
func TestCrashOpen(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	before := lab.Router.State()
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "route: {", "route: {on_crash: open, ", 1))
	if err := r.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.ended(t, "SIGKILL")
	for i, url := range urls() {
		want := "hello, " + []string{tuntest.RouterAddr4, tuntest.RouterAddr6}[i] + "\n"
		if got := command(t, lab.Router, "curl", "-sS", url); got.status != 0 || got.stdout != want {
			t.Errorf("curl %s after SIGKILL: %+v, want %q", url, got, want)
		}
	}
	lab.Router.Run(binary, "cleanup", "--result", "signal")
	if diff := cmp.Diff(before, lab.Router.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
}

// TestInterfaceDeleted takes the interface away from a running router: it ends, and the host stays closed.
func TestInterfaceDeleted(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	before := lab.Router.State()
	r := run(t, lab.Router, "syntap0", everything)
	lab.Router.Run("ip", "link", "del", "syntap0")
	r.ended(t, "its interface was deleted")
	if r.Err() == nil || !strings.Contains(r.Stderr(), "hint: what was routed stays closed") {
		t.Errorf("router ended with %v and said\n%swant exit status 1 and a hint", r.Err(), r.Stderr())
	}
	for _, url := range urls() {
		if got := command(t, lab.Router, "curl", "-sS", "--connect-timeout", "2", url); got.status == 0 {
			t.Errorf("curl %s after the interface was deleted: %+v, want no answer", url, got)
		}
	}
	lab.Router.Run(binary, "cleanup")
	if diff := cmp.Diff(before, lab.Router.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
}
