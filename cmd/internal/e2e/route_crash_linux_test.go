package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// captureLeaks captures on the uplink the SYNs, datagrams and pings to the lab's server that are
// not the router's. The router's carry a mark, which the wire does not show: they get a DSCP of
// their own for it. The first function returned reads the capture, the second ends it.
func captureLeaks(t *testing.T, ns *tuntest.Namespace) (leaks func() string, end func()) {
	t.Helper()
	ns.Run("nft", `
		add table inet leaks
		add chain inet leaks out { type filter hook output priority 0; }
		add rule inet leaks out meta mark 0x5359 ip dscp set cs1
		add rule inet leaks out meta mark 0x5359 ip6 dscp set cs1`)
	tcpdump := ns.Start("tcpdump", "-n", "-p", "-l", "--immediate-mode", "-i", "wan0", fmt.Sprintf(`
		dst host %s and ip[1] & 0xfc != 0x20 and (tcp[13] & 0x12 == 2 or udp dst port 7000 or icmp[0] == 8) or
		dst host %s and ip6[0:2] & 0xfc0 != 0x200 and (ip6 proto 6 and ip6[53] & 0x12 == 2 or udp dst port 7000 or icmp6 and ip6[40] == 128)`,
		tuntest.ServerAddr4, tuntest.ServerAddr6))
	tuntest.Wait(t, "tcpdump to listen", func() bool { return strings.Contains(tcpdump.Stderr(), "listening on") })
	return tcpdump.Stdout, func() {
		ns.Run("nft", "delete", "table", "inet", "leaks")
		if err := tcpdump.Signal(unix.SIGINT); err != nil {
			t.Fatal(err)
		}
		<-tcpdump.Done()
		if !strings.Contains(tcpdump.Stderr(), "\n0 packets dropped by kernel") {
			t.Errorf("the capture is not whole: %s", tcpdump.Stderr())
		}
	}
}

// knock keeps trying to reach the lab's server in every way, whatever comes of it, until the test
// ends.
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

// TestNothingLeaksAfterKill kills and starts a router again and again at random moments under
// traffic, without any help between, and captures the packets that get past it.
func TestNothingLeaksAfterKill(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nc", "nft", "ping", "tcpdump")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	before := lab.Router.State()
	r := run(t, lab.Router, "syntap0", everything)
	leaks, end := captureLeaks(t, lab.Router)
	knock(lab.Router)
	rounds, records := scaled(5, 100), 0
	for i := range rounds {
		// At any moment of the beginning, or after it. The first router is the one that let the
		// traffic in.
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
		if got := leaks(); got != "" {
			t.Fatalf("round %d: this left the host past the router:\n%s", i, got)
		}
		records += len(r.records(t))
		r = &router{dir: t.TempDir()}
		r.Process = lab.Router.Start(binary, "run", "-c", r.writeConfig(t, everything))
	}
	r.waitRecords(t, 1)
	if got := leaks(); got != "" {
		t.Errorf("this left the host past the router:\n%s", got)
	}
	r.stop(t, unix.SIGTERM)
	tuntest.Wait(t, "the capture to show what leaves an open host", func() bool { return leaks() != "" })
	end()
	reportf(t, "%d kills, %d handshakes recorded before them, nothing captured past the router", rounds, records)
	wantState(t, lab.Router, before)
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
		"nft delete table inet syntap0\n", "ip rule del pref 5360 fwmark 0x53590000 lookup 5359\n", "ip -6 rule del pref 5360 fwmark 0x53590000 lookup 5359\n",
		"ip tuntap del dev guard5359 mode tun\n", "syntap0 cleaned up\n",
	} {
		if got.status != 0 || !strings.Contains(got.stdout, line) {
			t.Errorf("cleanup: %+v, want exit status 0 and %q", got, line)
		}
	}
	wantState(t, lab.Router, before)
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
	wantState(t, lab.Router, before)
}

// TestInterfaceDeleted takes the interface away from a running router: it ends, and the host stays
// closed.
func TestInterfaceDeleted(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	before := lab.Router.State()
	r := run(t, lab.Router, "syntap0", everything)
	lab.Router.Run("ip", "link", "del", "syntap0")
	r.ended(t, "its interface was deleted")
	if r.Err() == nil || !strings.Contains(r.Stderr(), "hint: the host stays closed") {
		t.Errorf("router ended with %v and said\n%swant exit status 1 and a hint", r.Err(), r.Stderr())
	}
	for _, url := range urls() {
		if got := command(t, lab.Router, "curl", "-sS", "--connect-timeout", "2", url); got.status == 0 {
			t.Errorf("curl %s after the interface was deleted: %+v, want no answer", url, got)
		}
	}
	lab.Router.Run(binary, "cleanup")
	wantState(t, lab.Router, before)
}
