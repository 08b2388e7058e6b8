//go:build linux

package nat

import (
	"net/netip"
	"testing"
	"time"

	"syntap/stack/dial"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// TestDeniedFlows: a flow that policy forbids is on record once, and each of its datagrams is
// answered.
func TestDeniedFlows(t *testing.T) {
	log := newTestLog(false)
	policy := dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	o := Options{Limits: mappings.Limits{
		Mappings: 64, PerSource: 2, UDPTimeout: 50 * time.Millisecond,
	}}
	router := startRecorded(t, log, o, policy)
	client := netip.AddrPortFrom(clientV4, 5353)
	servers := []netip.AddrPort{
		netip.MustParseAddrPort("203.0.113.1:80"), netip.MustParseAddrPort("203.0.113.2:80"),
		netip.MustParseAddrPort("203.0.113.3:80"),
	}
	deny := func(server netip.AddrPort) {
		t.Helper()
		router.sendTo(t, client, server, "secret")
		if m := router.receiveICMP(t); m.Code != packet.ICMPProhibited {
			t.Errorf("ICMP code %d", m.Code)
		}
	}
	start := time.Now()
	for _, server := range servers[:2] {
		for range 3 {
			deny(server)
		}
	}
	if time.Since(start) < 50*time.Millisecond { // these machines stall
		for i, d := range log.await(t, 2) {
			if !d.Denied || d.Client != client || d.Server != servers[i] || d.Length != 6 ||
				d.Upstream.IsValid() {
				t.Errorf("opening: %+v", d)
			}
		}
	}
	before := len(log.all())
	deny(servers[2]) // more than PerSource: the first gives way
	deny(servers[0])
	if n := len(log.all()) - before; n != 2 {
		t.Errorf("%d openings beyond PerSource, want 2", n)
	}
	used := time.Now()
	tuntest.Wait(t, "the time of a mapping", func() bool {
		return time.Since(used) > 50*time.Millisecond
	})
	before = len(log.all())
	deny(servers[0])
	if n := len(log.all()) - before; n != 1 {
		t.Errorf("%d openings after the time of a mapping, want another", n)
	}
	log.admit(tunflow.Wait)
	router.sendTo(t, client, netip.MustParseAddrPort("203.0.113.9:80"), "secret")
	tuntest.Wait(t, "a drop", func() bool { return router.stats.DropWaiting.Load() == 1 })
	router.wantNoAnswer(t)
	if n := router.stats.UDP.Load(); n != 0 {
		t.Errorf("%d mappings", n)
	}
	router.stop()
	log.ends(t)
	if log.endings() != 0 {
		t.Errorf("%d denied flows have ended", log.endings())
	}
}

// TestUnroutableFlows: a flow that the host has no route for is on record once, with its end.
func TestUnroutableFlows(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	log := newTestLog(true)
	link, host := tuntest.NewPipe(1500)
	router := newRouter(t, link, dial.Options{}, log.options(Options{}))
	router.host, log.nat = host, router.NAT
	router.run(t, ns.Do)
	client := netip.AddrPortFrom(clientV4, 5353)
	for range 3 {
		router.sendTo(t, client, netip.MustParseAddrPort("203.0.113.1:80"), "hello")
		if m := router.receiveICMP(t); m.Code != packet.ICMPNetUnreachable {
			t.Errorf("ICMP code %d", m.Code)
		}
	}
	d := log.await(t, 1)[0]
	if f := log.ends(t)[0]; d.Denied || f == nil || f.Outcome != tunflow.NotReachable ||
		f.OutboundPackets != 0 {
		t.Errorf("opening %+v, end %+v", d, f)
	}
}
