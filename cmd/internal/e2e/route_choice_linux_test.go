package e2e_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// The packets that enter the TUN, and how one knows.

// TestExclude has destinations and users stay outside.
func TestExclude(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "setpriv")
	uids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || !strings.Contains(string(uids), "4294967295") {
		t.Skip("needs users other than root")
	}
	tests := []struct {
		name, route string
		want        []string // destinations of the records
	}{
		{"nothing", `exclude: []`, []string{"198.51.100.2", tuntest.ServerAddr4, tuntest.ServerAddr6, tuntest.ServerAddr4}},
		{"destinations", `exclude: [203.0.113.0/24, "2001:db8:3::2/128"]`, []string{"198.51.100.2"}},
		{"wider than what is included", `include: [203.0.113.2/32], exclude: [203.0.113.0/24]`, nil},
		{"a user", `exclude_uids: [1000]`, []string{"198.51.100.2", tuntest.ServerAddr4, tuntest.ServerAddr6}},
		{"all but a user", `include_uids: [1000]`, []string{tuntest.ServerAddr4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveHTTP(t, lab, greeting)
			serveEcho(lab.Server, "198.51.100.2:80")
			before := lab.Router.State()
			route := tt.route
			if !strings.Contains(route, "include: ") {
				route = `include: [0.0.0.0/0, "::/0"], ` + route
			}
			config := strings.Replace(everything, `include: [0.0.0.0/0, "::/0"]`, route, 1)
			r := &router{dir: t.TempDir()}
			r.Process = lab.Router.Start(binary, "run", "-c", r.writeConfig(t, config))
			r.wait(t, "the router to start", func() bool { return strings.Contains(r.Stderr(), "msg=routing") })
			lab.Router.Run("nc", "-z", "198.51.100.2", "80")
			for _, url := range urls() {
				lab.Router.Run("curl", "-sS", url)
			}
			lab.Router.Run("setpriv", "--reuid=1000", "--clear-groups", "curl", "-sS", urls()[0])
			var got []string
			for _, record := range r.waitRecords(t, len(tt.want)) {
				got = append(got, record.Dst)
			}
			r.stop(t, unix.SIGTERM)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("destinations recorded (-want +got):\n%s", diff)
			}
			if n := len(r.records(t)); n != len(tt.want) {
				t.Errorf("%d records, want %d", n, len(tt.want))
			}
			wantState(t, lab.Router, before)
		})
	}
}

// TestPlan prints the steps of run, and does none of them.
func TestPlan(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	before := lab.Router.State()
	r := &router{dir: t.TempDir()}
	got := command(t, lab.Router, binary, "plan", "-c", r.writeConfig(t, everything))
	if diff := cmp.Diff(before, lab.Router.State()); diff != "" {
		t.Errorf("plan changed (-before +after):\n%s", diff)
	}
	lines := strings.Split(got.stdout, "\n")
	for _, line := range []string{
		"# takes the traffic while the process is dead (on_crash: closed)",
		"# from here on packets enter: tells which by connection tracking, and marks them",
		"ip -6 rule add pref 5360 fwmark 0x53590000 lookup 5359",
		"table inet syntap0 {",
	} {
		if !slices.Contains(lines, line) {
			t.Errorf("plan lacks %q", line)
		}
	}
	if got.status != 0 || lines[1] != "ip tuntap add dev syntap0 mode tun vnet_hdr" || lines[len(lines)-2] != "END" {
		t.Errorf("plan: %+v, want the commands from the interface to the table", got)
	}
}

// TestPutBack deletes the rule that sends traffic in, and the guard.
func TestPutBack(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	before := lab.Router.State()
	r := run(t, lab.Router, "syntap0", everything)
	lab.Router.Run("ip", "rule", "del", "pref", "5360")
	r.wait(t, "the rule to come back", func() bool { return enters(lab.Router, tuntest.ServerAddr4, "syntap0") })
	lab.Router.Run("curl", "-sS", urls()[0])
	r.waitRecords(t, 1)

	settle(t, lab.Router)
	guard := lab.Router.Run("ip", "-6", "-brief", "address", "show", "dev", "guard5359")
	lab.Router.Run("ip", "link", "del", "guard5359")
	r.wait(t, "the guard to come back", func() bool {
		return strings.Contains(lab.Router.Run("ip", "route", "show", "table", "5359"), "dev guard5359") &&
			strings.Contains(lab.Router.Run("ip", "-6", "route", "show", "table", "5359"), "dev guard5359")
	})
	r.wait(t, "it to be as before: "+guard, func() bool { // without a carrier, which the kernel notices a moment later
		return lab.Router.Run("ip", "-6", "-brief", "address", "show", "dev", "guard5359") == guard
	})
	r.stop(t, unix.SIGTERM)
	wantState(t, lab.Router, before)
	for _, text := range []string{"restored rules or routes that another program has removed", "ip rule add pref 5360 fwmark 0x53590000 lookup 5359", "ip tuntap add dev guard5359 mode tun"} {
		if !strings.Contains(r.Stderr(), text) {
			t.Errorf("router logged\n%swant %q", r.Stderr(), text)
		}
	}
}

// TestUplinkChanges moves the host's default route to another network while a router runs.
func TestUplinkChanges(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	lab.Router.Join("wan1", lab.Server, "eth1")
	lab.Router.AddAddress("wan1", "192.0.2.129/30")
	lab.Router.AddAddress("wan1", "2001:db8:4::1/64")
	lab.Server.AddAddress("eth1", "192.0.2.130/30")
	lab.Server.AddAddress("eth1", "2001:db8:4::2/64")
	r := run(t, lab.Router, "syntap0", everything)
	check := func(n int, from ...string) {
		t.Helper()
		for i, url := range urls() {
			if got := lab.Router.Run("curl", "-sS", "--max-time", "60", url); got != "hello, "+from[i]+"\n" {
				t.Errorf("curl %s printed %q, want to come from %s", url, got, from[i])
			}
		}
		r.waitRecords(t, n)
	}
	check(2, tuntest.RouterAddr4, tuntest.RouterAddr6)
	lab.Router.Run("ip", "route", "replace", "default", "via", "192.0.2.130")
	lab.Router.Run("ip", "-6", "route", "del", "default")
	lab.Router.Run("ip", "-6", "route", "add", "default", "via", "2001:db8:4::2")
	check(4, "192.0.2.129", "2001:db8:4::1")
	lab.Router.Run("ip", "link", "set", "wan0", "down")
	check(6, "192.0.2.129", "2001:db8:4::1")
	r.stop(t, unix.SIGTERM)
}
