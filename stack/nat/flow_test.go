//go:build linux

package nat

import (
	"net/netip"
	"testing"
	"time"

	"syntap/stack/dial"
	"syntap/stack/nat/flows"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// TestRouteGone: a datagram that the host does not send does not count for its flow, which stays
// the same.
func TestRouteGone(t *testing.T) {
	for _, keepSource := range []bool{false, true} { // without, routes are asked for
		lab := tuntest.NewLab(t)
		log := newTestLog(true)
		link, host := tuntest.NewPipe(1500)
		o := Options{KeepSource: func(netip.Addr) bool { return keepSource }}
		router := newRouter(t, link, dial.Options{}, log.options(o))
		router.host, log.nat = host, router.NAT
		router.run(t, lab.Client.Do)
		far := listenIn(lab.Server, tuntest.ServerAddr4, "0")
		client := netip.AddrPortFrom(netip.MustParseAddr(tuntest.ClientAddr4), 5353)
		server := netip.AddrPortFrom(netip.MustParseAddr(tuntest.ServerAddr4), tuntest.PortOf(far))
		router.host.Exchange(t, client, server, far)
		lab.Client.Run("ip", "route", "del", "default")
		for range 2 {
			router.sendTo(t, client, server, "lost")
			if m := router.receiveICMP(t); m.Code != packet.ICMPNetUnreachable {
				t.Errorf("ICMP code %d", m.Code)
			}
		}
		log.await(t, 1)
		router.stop()
		f := log.ends(t)[0]
		if f == nil || f.OutboundPackets != 1 || f.Outbound != 8 || f.Outcome != tunflow.NotReachable {
			t.Errorf("end: %+v", f)
		}
	}
}

// TestOutcomes: an ICMP error is the outcome of a flow without an answer.
func TestOutcomes(t *testing.T) {
	log := newTestLog(true)
	router := startRecorded(t, log, Options{}, dial.Policy{})
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	router.sendTo(t, client, server, "question")
	peer := wantNext(t, far, "question")
	_, _ = far.WriteToUDPAddrPort([]byte("answer"), peer)
	router.receiveUDP(t)
	dead := netip.AddrPortFrom(serverV4, closedPort(t, "127.0.0.1:0"))
	_ = far.Close()
	for _, to := range []netip.AddrPort{dead, server} {
		router.sendTo(t, client, to, "hello")
		if m := router.receiveICMP(t); m.Code != packet.ICMPPortUnreachable {
			t.Errorf("ICMP code %d", m.Code)
		}
	}
	router.stop()
	log.mu.Lock()
	refused := log.ended[log.opened[1]].Duration
	log.mu.Unlock()
	if refused <= 0 {
		t.Errorf("the refused flow lasted %v, want the time until the ICMP error", refused)
	}
	ends := log.ends(t)
	want := []tunflow.Outcome{tunflow.Answered, tunflow.PortRefused}
	for i, o := range want {
		if ends[i] == nil || ends[i].Outcome != o {
			t.Errorf("end %d: %+v, want %s", i, ends[i], o)
		}
	}
}

// TestIdleFlowEnds: a flow ends when it is idle, although its mapping is in use.
func TestIdleFlowEnds(t *testing.T) {
	log := newTestLog(true)
	o := Options{Limits: mappings.Limits{UDPTimeout: 200 * time.Millisecond}}
	router := startRecorded(t, log, o, dial.Policy{})
	busy, idle := tuntest.ListenUDP(t, "127.0.0.1:0"), tuntest.ListenUDP(t, "127.0.0.1:0")
	client := netip.AddrPortFrom(clientV4, 5353)
	router.sendTo(t, client, netip.AddrPortFrom(serverV4, tuntest.PortOf(idle)), "once")
	tuntest.Wait(t, "the end of the idle flow", func() bool {
		router.sendTo(t, client, netip.AddrPortFrom(serverV4, tuntest.PortOf(busy)), "again")
		all := log.ends(t)
		return len(all) > 0 && all[0] != nil
	})
	if f := log.ends(t)[0]; f.OutboundPackets != 1 || f.Outcome != tunflow.NoAnswer {
		t.Errorf("end: %+v", f)
	}
}

// TestEndBeforeAdmission: a flow that ends while it is being admitted ends once.
func TestEndBeforeAdmission(t *testing.T) {
	log := newTestLog(false)
	o := log.options(Options{})
	client := netip.AddrPortFrom(clientV4, 5353)
	var router *testRouter
	o.Opened = func(d *tunflow.Datagram) tunflow.Admission {
		m := router.mappingAt(mappings.Key{Client: mappings.UDP(client), Local: loopbackV4})
		m.flows.Sending.Lock() // as where the mapping makes room
		m.flows.Close()
		m.flows.Sending.Unlock()
		return log.open(d)
	}
	router = newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, o)
	router.route(tuntest.Frame{Data: datagram(client, netip.AddrPortFrom(serverV4, 80), nil)})
	if log.ends(t); log.endings() != 1 {
		t.Errorf("%d flows have ended, want 1", log.endings())
	}
}

// TestManyFlows: a mapping has a bounded number of flows; beyond that the one that has been idle
// longest ends. All are charged.
func TestManyFlows(t *testing.T) {
	log := newTestLog(true)
	router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, log.options(Options{}))
	log.nat = router.NAT
	client := netip.AddrPortFrom(clientV4, 5353)
	send := func(port uint16) {
		router.route(tuntest.Frame{Data: datagram(client, netip.AddrPortFrom(serverV4, port), nil)})
	}
	const more = 10
	for port := range uint16(flows.MaxFlows + more) {
		send(20000 + port)
		send(20000 + more) // is in use, and stays
	}
	ends := log.ends(t)
	if len(ends) != flows.MaxFlows+more {
		t.Fatalf("%d openings, want %d", len(ends), flows.MaxFlows+more)
	}
	for i, f := range ends {
		// The flow in use was opened second.
		if ended := f != nil; ended != (i <= more && i != 1) {
			t.Errorf("flow %d: ended %t", i, ended)
		}
	}
	idle := int64(mappingMemory+namesMemory) + flows.MaxFlows*flows.FlowMemory
	if n := router.charged.Load(); n != idle {
		t.Errorf("charged %d, want %d", n, idle)
	}
	router.memory = idle // no more: the oldest gives way, whatever the bound
	send(10000)
	if n := len(log.all()); n != flows.MaxFlows+more+1 {
		t.Errorf("%d openings, want one more", n)
	}
	router.stop()
	if log.endings() != len(log.all()) {
		t.Errorf("%d ends of %d", log.endings(), len(log.all()))
	}
	log.ends(t)
}

// TestUnsolicited: a datagram from where the client has not sent begins no flow, and is counted.
func TestUnsolicited(t *testing.T) {
	lab := tuntest.NewLab(t)
	log := newTestLog(true)
	link, host := tuntest.NewPipe(1500)
	router := newRouter(t, link, dial.Options{}, log.options(Options{}))
	router.host, log.nat = host, router.NAT
	router.run(t, lab.Router.Do)
	server := netip.MustParseAddr(tuntest.ServerAddr4)
	far, stranger := listenIn(lab.Server, tuntest.ServerAddr4, "0"), listenIn(lab.Server, tuntest.ServerAddr4, "0")
	client := netip.MustParseAddrPort("198.18.0.1:5353")
	seen := router.host.Exchange(t, client, netip.AddrPortFrom(server, tuntest.PortOf(far)), far)
	_, _ = stranger.WriteToUDPAddrPort([]byte("hello"), seen)
	if from, _, _ := router.receiveUDP(t); from.Port() != tuntest.PortOf(stranger) {
		t.Errorf("datagram from %s", from)
	}
	if n := router.stats.Unsolicited.Load(); n != 1 {
		t.Errorf("%d unsolicited, want 1", n)
	}
	log.await(t, 1)
	router.host.Exchange(t, client, netip.AddrPortFrom(server, tuntest.PortOf(stranger)), stranger)
	log.await(t, 2)
	router.stop()
	if f := log.ends(t)[0]; f == nil || f.Outcome != tunflow.NoAnswer || f.InboundPackets != 0 {
		t.Errorf("end: %+v", f)
	}
}

// TestGSOCounts: a GSO packet counts as its datagrams, also where the host does not take all.
func TestGSOCounts(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	router := startRecorded(t, log, Options{}, dial.Policy{})
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	want := randomBytes(20*1200 + 7)
	for range 2 {
		router.host.MustSend(t, tuntest.Offloaded(datagram(client, server, want), 1200))
	}
	d := log.await(t, 1)[0]
	router.Recorded(d)
	for range 2 {
		wantDatagrams(t, far, want, 1200)
	}
	tuntest.Wait(t, "an empty queue", func() bool {
		return router.charged.Load() == mappingMemory+flows.FlowMemory
	})
	router.stop()
	f := log.ends(t)[0]
	if d.Length != 1200 || f.OutboundPackets != 42 || f.Outbound != uint64(2*len(want)) {
		t.Errorf("opening %+v, end %+v", d, f)
	}
}
