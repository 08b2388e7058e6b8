package e2e_test

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// callAll makes a client call in every way and checks who answers; "" = no answer.
func (h *hostLab) callAll(t *testing.T, when string, c call, want string) {
	t.Helper()
	all := make(map[string]call)
	for _, to := range []string{h.far4, h.far6} {
		for _, proto := range []string{"tcp", "udp", "ping"} {
			c.to, c.proto, c.witnesses = to, proto, h.witnesses()
			all[proto+" "+to] = c
		}
	}
	for name, a := range calls(all) {
		if says := strings.HasPrefix(a.says, want); !says || want == "" && strings.Contains(a.says, " sees ") {
			t.Errorf("%s: %s: %s, want %s", when, name, a.says, cmp.Or(want, "no answer"))
		}
	}
}

// TestVPNComesAndGoes has VPNs come up and go while the router runs: one whose rules have
// priorities, and one whose rules have none, as wg-quick's: the kernel puts them before all others.
func TestVPNComesAndGoes(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	r := run(t, h.Router, "syntap0", sourcesOfLAN)
	before := output(h.Router, "ip", "rule")
	h.callAll(t, "before", call{ns: h.Router}, "world")
	h.addVPNLink(t, 51820)
	n := 2
	for _, pref := range []int{31001, 0, 0} {
		when := fmt.Sprintf("VPN with priority %d: ", pref)
		rule := func(verb string, pref int, rule ...string) {
			for _, f := range []string{"-4", "-6"} {
				args := append([]string{f, "rule", verb}, rule...)
				if pref > 0 {
					args = append(args, "pref", fmt.Sprint(pref))
				}
				h.Router.Run("ip", args...)
			}
		}
		vpn := []string{"not", "fwmark", fmt.Sprint(wgMark), "lookup", "51820"}
		links := []string{"lookup", "main", "suppress_prefixlength", "0"}
		rule("add", pref, vpn...)
		rule("add", max(pref-1, 0), links...)
		h.guardVPN()
		r.wait(t, "the VPN's mark to be noticed, and its rules to be after the router's", func() bool {
			marks := output(h.Router, "nft", "list", "chain", "inet", "syntap0", "local_new")
			return strings.Contains(marks, "0x0000ca6c") && isFirst(h.Router, "-4") && isFirst(h.Router, "-6")
		})
		h.callAll(t, when+"host in the VPN", call{ns: h.Router}, "VPN")
		h.callAll(t, when+"LAN in the VPN", call{ns: h.Client}, "VPN")
		n += 4
		n = len(r.waitRecords(t, n))
		h.callAll(t, when+"the VPN's own socket", call{ns: h.Router, mark: wgMark}, "world")
		if got := len(r.records(t)); got != n {
			t.Errorf("%s%d records, want none of the VPN's own sockets", when, got-n)
		}
		rule("del", pref, vpn...)
		rule("del", max(pref-1, 0), links...)
		h.callAll(t, when+"after", call{ns: h.Router}, "world")
		n += 2
		n = len(r.waitRecords(t, n))
	}
	r.wait(t, "the router's rules to be where they were", func() bool {
		return output(h.Router, "ip", "rule") == before
	})
	r.stop(t, unix.SIGTERM)
}

// isFirst reports whether the first rules of a family but the kernel's own are a router's: that for
// packets from the TUN, and that for those which enter, which comes last when the rules move.
func isFirst(ns *tuntest.Namespace, family string) bool {
	rules := strings.Split(output(ns, "ip", family, "rule"), "\n")
	return len(rules) > 2 && strings.Contains(rules[1], "iif syntap0 ") && strings.Contains(rules[2], "lookup 5359")
}

// TestRuleBeforeOurs has a rule appear that sends everything past the TUN. The router names it and
// the priority that goes before it, with which everything is recorded again.
func TestRuleBeforeOurs(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	h.addVPNLink(t, 52)
	r := run(t, h.Router, "syntap0", sourcesOfLAN)
	for _, f := range []string{"-4", "-6"} {
		h.Router.Run("ip", f, "rule", "add", "pref", "5270", "lookup", "52")
	}
	said := regexp.MustCompile(`rule ."pref 5270 lookup 52." comes before the router's own.*hint="set route.priority to (\d+) or less"`)
	r.wait(t, "the warning", func() bool { return said.MatchString(r.Stderr()) })
	h.callAll(t, "past the TUN", call{ns: h.Router}, "VPN")
	priority := said.FindStringSubmatch(r.Stderr())[1]
	r.stop(t, unix.SIGTERM)
	if n := len(r.records(t)); n != 0 {
		t.Errorf("%d records of what has gone past the TUN", n)
	}
	r = run(t, h.Router, "syntap0", sourcesOfLAN+"route: {priority: "+priority+"}\n")
	h.callAll(t, "with priority "+priority, call{ns: h.Router}, "VPN")
	r.waitRecords(t, 2)
	if strings.Contains(r.Stderr(), "comes before the router's own") {
		t.Errorf("the router said\n%swant no warning", r.Stderr())
	}
	r.stop(t, unix.SIGTERM)
}

// TestFlushedRules flushes all rules again and again while connections are opened. Those that come
// about are on record.
func TestFlushedRules(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	r := run(t, h.Router, "syntap0", sourcesOfLAN)
	done := make(chan struct{})
	var opened, flushes atomic.Int64
	deadline := time.Now().Add(tuntest.Patience)
	for _, to := range []string{h.far4, h.far6} {
		go func() {
			defer func() { done <- struct{}{} }()
			for flushes.Load() < 15 || opened.Load() == 0 && time.Now().Before(deadline) {
				c := call{ns: h.Router, proto: "tcp", to: to, patience: 3 * time.Second}
				if strings.HasPrefix(c.make().says, "world") {
					opened.Add(1)
				}
			}
		}()
	}
	flush := time.NewTicker(200 * time.Millisecond)
	defer flush.Stop()
	for running := 2; running > 0; {
		select {
		case <-done:
			running--
		case <-flush.C:
			for _, f := range []string{"-4", "-6"} {
				h.Router.Run("ip", f, "rule", "flush")
				h.Router.Run("ip", f, "rule", "add", "lookup", "main", "pref", "32766")
			}
			flushes.Add(1)
		}
	}
	r.waitRecords(t, int(opened.Load()))
	established := 0
	for outcome, n := range outcomes(r.records(t)) {
		if strings.HasSuffix(outcome, " established") {
			established += n
		}
	}
	if n := int(opened.Load()); n == 0 || established < n {
		t.Errorf("%d of %d connections are on record", established, n)
	}
	r.stop(t, unix.SIGTERM)
}

// TestBoundToUplink has programs bind their sockets to the uplink, past the rules. They are refused
// or counted, and named.
func TestBoundToUplink(t *testing.T) {
	t.Parallel()
	for enforce, want := range map[string]struct{ answer, said string }{
		"reject": {"", `refused packets [^"]*" hint="[^"]*route.enforce: count" interface=wan0 packets=\d+ uid=0`},
		"count":  {"world", `unrecorded" interface=wan0 packets=\d+ uid=0`},
		"off":    {"world", ""},
	} {
		t.Run(enforce, func(t *testing.T) {
			t.Parallel()
			h := newHostLab(t)
			r := run(t, h.Router, "syntap0", sourcesOfLAN+"route: {enforce: "+enforce+"}\n")
			bound := call{ns: h.Router, device: "wan0"}
			if want.answer == "" { // some are not told
				bound.patience = 3 * time.Second
			}
			h.callAll(t, "bound", bound, want.answer)
			h.callAll(t, "not bound", call{ns: h.Router}, "world")
			if want.said != "" {
				r.wait(t, "the count to be told", func() bool { return regexp.MustCompile(want.said).MatchString(r.Stderr()) })
			}
			if strings.Contains(r.Stderr(), "uid=-1") {
				t.Errorf("the router takes packets of this host for another machine's:\n%s", r.Stderr())
			}
			if n := len(r.waitRecords(t, 2)); n != 2 {
				t.Errorf("%d records, want those of the two connections that were not bound", n)
			}
			r.stop(t, unix.SIGTERM)
			if want.said == "" && strings.Contains(r.Stderr(), "interface=wan0") {
				t.Errorf("the router said\n%swant nothing of wan0", r.Stderr())
			}
		})
	}
}

// TestGatewayNotices leaves out settings that a gateway needs. run, check and plan say so.
func TestGatewayNotices(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config, want string
		setUp        func(h *hostLab)
	}{
		"IPv4 is not forwarded": {sourcesOfLAN, "sysctl -w net.ipv4.ip_forward=1", func(h *hostLab) { h.Router.Sysctl("net.ipv4.ip_forward", "0") }},
		"IPv6 is not forwarded": {sourcesOfLAN, "sysctl -w net.ipv6.conf.all.forwarding=1", func(h *hostLab) { h.Router.Sysctl("net.ipv6.conf.all.forwarding", "0") }},
		"sources lack the LAN":  {everything, "add 192.0.2.0/24 to tun.sources", func(*hostLab) {}},
		"FORWARD drops":         {sourcesOfLAN, "insert rule inet ufw forward iifname syntap0 accept", func(h *hostLab) { h.addFirewall() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostLab(t)
			tt.setUp(h)
			r := &router{dir: t.TempDir()}
			file := r.writeConfig(t, tt.config)
			for _, what := range []string{"check", "plan"} {
				if got := command(t, h.Router, binary, what, "-c", file); got.status != 0 || !strings.Contains(got.stderr, tt.want) {
					t.Errorf("%s: status %d, said %q, want %q", what, got.status, got.stderr, tt.want)
				}
			}
			r.Process = h.Router.Start(binary, "run", "-c", file)
			r.wait(t, "the notice", func() bool { return strings.Contains(r.Stderr(), tt.want) })
			r.wait(t, "the router to start", func() bool { return strings.Contains(r.Stderr(), "msg=routing") })
			r.stop(t, unix.SIGTERM)
		})
	}
}

// TestOpenAtStart keeps connections through the gateway, in both directions, that were open before
// the router starts.
func TestOpenAtStart(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	serveEcho(h.Server, ":7070")
	serveEcho(h.Client, ":7070")
	open := make(map[string]net.Conn)
	for _, is6 := range []bool{false, true} {
		for name, c := range map[string]call{
			"from the host":     {ns: h.Router, to: h.far(is6)},
			"from the LAN":      {ns: h.Client, to: h.far(is6)},
			"from a container":  {ns: h.containers, to: h.far(is6)},
			"from outside":      {ns: h.Server, to: pick(is6, tuntest.ClientAddr4, tuntest.ClientAddr6), from: h.caller(is6)},
			"host to the LAN":   {ns: h.Router, to: pick(is6, tuntest.ClientAddr4, tuntest.ClientAddr6)},
			"container and LAN": {ns: h.containers, to: pick(is6, tuntest.ClientAddr4, tuntest.ClientAddr6)},
		} {
			c.patience = tuntest.Patience
			conn, err := c.dial("tcp", net.JoinHostPort(c.to, "7070"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			open[fmt.Sprintf("%s, IPv6 %v", name, is6)] = conn
		}
	}
	check := func(when string) {
		for name, conn := range open {
			if err := conn.SetDeadline(time.Now().Add(tuntest.Patience)); err != nil {
				t.Fatal(err)
			}
			b := []byte("x")
			if _, err := conn.Write(b); err != nil {
				t.Errorf("%s, %s: %v", name, when, err)
			} else if _, err := conn.Read(b); err != nil {
				t.Errorf("%s, %s: %v", name, when, err)
			}
		}
	}
	check("before")
	r := run(t, h.Router, "syntap0", sourcesOfLAN)
	check("during run")
	r.stop(t, unix.SIGTERM)
	check("after")
}

// TestMarkOfOthers has another user set the mark of the router's sockets, which CAP_NET_RAW allows.
// Its packets enter all the same.
func TestMarkOfOthers(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping", "setpriv")
	requireRoot(t)
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	r.hostile = true // root's ping with the mark looks like one of the router's
	// The interface has packets of the kernel's own, too: only pings count.
	lab.Router.Run("nft", "add table ip probe; "+
		"add chain ip probe out { type filter hook postrouting priority 500; }; "+
		"add rule ip probe out oifname syntap0 icmp type echo-request counter")
	pings := func() string {
		return regexp.MustCompile(`packets \d+`).FindString(lab.Router.Run("nft", "list", "chain", "ip", "probe", "out"))
	}
	entered := func(more ...string) bool {
		before := pings()
		args := append(more, "ping", "-n", "-c1", "-w20", "-m", "21337", tuntest.ServerAddr4)
		lab.Router.Run(args[0], args[1:]...)
		return pings() != before
	}
	if entered() {
		t.Error("a ping with the mark has entered, want the router's own user to pass")
	}
	if !entered("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_raw", "--ambient-caps=+net_raw") {
		t.Error("another user has passed by with the mark")
	}
	r.stop(t, unix.SIGTERM)
}

// TestSettingsOfHostChange has programs change the host while the router runs: one sets the strict
// reverse-path filter of all interfaces, as systemd-sysctl does, one loads a firewall, as Docker
// does, and one sets the interface down, as NetworkManager does. The router restores parameters and
// the interface, and says how to cure the rest.
func TestSettingsOfHostChange(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	r := run(t, h.Router, "syntap0", sourcesOfLAN)
	h.callAll(t, "before", call{ns: h.Router}, "world")
	h.strictReversePath()
	h.Router.Sysctl("net.ipv4.conf.syntap0.rp_filter", "1")
	r.wait(t, "the filter to be loose", func() bool {
		return output(h.Router, "sysctl", "-n", "net.ipv4.conf.syntap0.rp_filter") == "2\n"
	})
	h.callAll(t, "with the strict filter", call{ns: h.Router}, "world")

	h.Router.Run("nft", `
		table inet firewall { chain input { type filter hook input priority 0; policy drop;
			iifname { "lo", "wan0" } accept; ip6 nexthdr ipv6-icmp accept; }; }`)
	said := regexp.MustCompile(`accepts answers from syntap0" hint="(.*)"`)
	r.wait(t, "the word of the firewall", func() bool { return said.MatchString(r.Stderr()) })
	h.Router.Run("sh", "-ec", said.FindStringSubmatch(r.Stderr())[1])
	h.callAll(t, "after what the hint says", call{ns: h.Router}, "world")

	// As "nmcli networking off" does.
	h.Router.Run("ip", "link", "set", "syntap0", "down")
	r.wait(t, "the routes to be back", func() bool {
		routes := output(h.Router, "ip", "-6", "route", "show", "table", "5359")
		return strings.Contains(routes, "dev syntap0")
	})
	h.callAll(t, "up again", call{ns: h.Router}, "world")
	r.stop(t, unix.SIGTERM)
}
