//go:build linux

package nat

import (
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"syntap/stack/dial"
	"syntap/stack/nat/flows"
	"syntap/stack/nat/gso"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// TestNoDatagramBeforeItsRecord: the datagrams of a flow leave when it is on record, in the order
// in which they came, and those of others meanwhile.
func TestNoDatagramBeforeItsRecord(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far, other := tuntest.ListenUDP(t, loopback), tuntest.ListenUDP(t, loopback)
		log := newTestLog(false)
		router := startRecorded(t, log, Options{}, dial.Policy{})
		client := netip.AddrPortFrom(clientAddr, 5353)
		server := netip.AddrPortFrom(serverAddr, tuntest.PortOf(far))
		second := netip.AddrPortFrom(serverAddr, tuntest.PortOf(other))
		for _, payload := range []string{"one", "", "three"} {
			router.sendTo(t, client, server, payload)
		}
		router.sendTo(t, client, second, "other")
		opened := log.await(t, 2)
		router.Recorded(opened[1])
		peer := wantNext(t, other, "other")
		wantNothing(t, far)
		router.Recorded(opened[0])
		wantNext(t, far, "one", "", "three")
		router.sendTo(t, client, server, "four")
		wantNext(t, far, "four")
		_, _ = other.WriteToUDPAddrPort([]byte("answer"), peer)
		router.receiveUDP(t)
		router.stop()

		target, _ := tuntest.ToLoopback(server)
		target2, _ := tuntest.ToLoopback(second)
		want := []*tunflow.Datagram{
			{Proto: tunflow.UDP, Client: client, Server: server, Length: 3, Upstream: target},
			{Proto: tunflow.UDP, Client: client, Server: second, Length: 5, Upstream: target2},
		}
		ignoreTime := cmpopts.IgnoreFields(tunflow.Datagram{}, "Time", "Decision", "Opening")
		compare := cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})
		if diff := cmp.Diff(want, opened, ignoreTime, compare); diff != "" {
			t.Errorf("openings (-want +got):\n%s", diff)
		}
		ends := []*tunflow.Flow{
			{
				Key:      tunflow.Key{Client: client, Server: server},
				Datagram: opened[0], Outbound: 12, OutboundPackets: 4,
			},
			{
				Key: tunflow.Key{Client: client, Server: second}, Datagram: opened[1],
				Outcome: tunflow.Answered, Outbound: 5, OutboundPackets: 1,
				Inbound: 6, InboundPackets: 1,
			},
		}
		if diff := cmp.Diff(ends, log.ends(t), compare); diff != "" {
			t.Errorf("ends (-want +got):\n%s", diff)
		}
		if n := router.stats.Flows.Load(); n != 0 {
			t.Errorf("%d flows after the end", n)
		}
	})
}

// TestNoEchoBeforeItsRecord: the requests of one identifier to one destination are a flow.
func TestNoEchoBeforeItsRecord(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv4.ping_group_range", "0 2147483647")
	log := newTestLog(false)
	link, host := tuntest.NewPipe(1500)
	router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, log.options(Options{}))
	router.host, log.nat = host, router.NAT
	router.run(t, ns.Do)
	for seq := range byte(3) {
		router.host.MustSend(t, tuntest.Frame{Data: echo(clientV4, serverV4, 1, seq, []byte("ping")).Packet()})
	}
	opened := log.await(t, 1)
	tuntest.Wait(t, "all requests", func() bool { return router.routed.Load() == 3 })
	router.wantNoAnswer(t)
	router.Recorded(opened[0])
	for seq := range byte(3) {
		if _, m := parse(t, router.host.MustReceive(t).Data); m[7] != seq {
			t.Errorf("reply %d, want %d", m[7], seq)
		}
	}
	router.stop()
	d := opened[0]
	if d.Proto != tunflow.ICMP || d.Client.Port() != 0x1201 || d.Server.Port() != 0 || d.Length != 4 {
		t.Errorf("opening: %+v", d)
	}
	f := log.ends(t)[0]
	if f == nil || f.Outcome != tunflow.Answered || f.OutboundPackets != 3 || f.Outbound != 12 ||
		f.InboundPackets != 3 || f.Inbound != 12 {
		t.Errorf("end: %+v", f)
	}
}

// TestOrderIsKept: datagrams that come while those before them are being sent do not overtake
// them.
func TestOrderIsKept(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	router := startRecorded(t, log, Options{}, dial.Policy{})
	server := netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	for port := range uint16(20) {
		client := netip.AddrPortFrom(clientV4, 5000+port)
		recorded := make(chan struct{})
		go func() {
			defer close(recorded)
			for len(log.all()) <= int(port) {
				runtime.Gosched()
			}
			router.Recorded(log.all()[port])
		}()
		for i := range flows.MaxHeld {
			router.sendTo(t, client, server, strconv.Itoa(i))
		}
		for i := range flows.MaxHeld {
			wantNext(t, far, strconv.Itoa(i))
		}
		<-recorded
	}
	if n := router.stats.DropUnrecorded.Load(); n != 0 {
		t.Errorf("%d dropped", n)
	}
}

// TestFullLog: where the log takes no record, the datagrams of new flows are dropped, or answered,
// and those of old ones pass.
func TestFullLog(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far := tuntest.ListenUDP(t, loopback)
		log := newTestLog(true)
		router := startRecorded(t, log, Options{}, dial.Policy{})
		client := netip.AddrPortFrom(clientAddr, 5353)
		server := netip.AddrPortFrom(serverAddr, tuntest.PortOf(far))
		router.sendTo(t, client, server, "old")
		wantNext(t, far, "old")

		late := netip.AddrPortFrom(clientAddr, 5354)
		log.admit(tunflow.Wait)
		router.sendTo(t, late, server, "lost")
		router.sendTo(t, client, server, "old")
		wantNext(t, far, "old")
		router.wantNoAnswer(t)

		log.admit(tunflow.Refuse)
		router.sendTo(t, late, server, "lost")
		m := router.receiveICMP(t)
		typ, code := uint8(packet.ICMPUnreachable), uint8(packet.ICMPProhibited)
		if clientAddr.Is6() {
			typ, code = packet.ICMPv6Unreachable, packet.ICMPv6Prohibited
		}
		if m.Type != typ || m.Code != code {
			t.Errorf("ICMP type %d code %d, want %d and %d", m.Type, m.Code, typ, code)
		}

		log.admit(tunflow.Admit)
		router.sendTo(t, late, server, "again")
		wantNext(t, far, "again")
		waiting, refused := router.stats.DropWaiting.Load(), router.stats.DropRefused.Load()
		if waiting != 1 || refused != 1 {
			t.Errorf("dropped %d and %d, want 1 each", waiting, refused)
		}
		router.stop()
		if ends := log.ends(t); len(ends) != 2 || ends[0] == nil || ends[1] == nil {
			t.Errorf("ends: %v", ends)
		}
	})
}

// TestHeldDatagramsAreBounded: a flow that waits for its record holds 64 datagrams, or 64 KiB, and
// is charged for them until they are sent or it ends.
func TestHeldDatagramsAreBounded(t *testing.T) {
	for _, tt := range []struct{ size, want int }{
		{10, flows.MaxHeld}, {3000, flows.HeldBytes / 3028},
	} {
		for _, recorded := range []bool{true, false} {
			far := tuntest.ListenUDP(t, "127.0.0.1:0")
			log := newTestLog(false)
			router := startRecorded(t, log, Options{}, dial.Policy{})
			client := netip.AddrPortFrom(clientV4, 5353)
			server := netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
			const sent = 100
			for i := range sent {
				payload := randomBytes(tt.size)
				payload[0] = byte(i)
				router.sendTo(t, client, server, string(payload))
			}
			tuntest.Wait(t, "all read", func() bool { return router.routed.Load() == sent })
			if n := router.stats.DropUnrecorded.Load(); n != uint64(sent-tt.want) {
				t.Errorf("%d bytes: %d dropped, want %d", tt.size, n, sent-tt.want)
			}
			idle := int64(mappingMemory + flows.FlowMemory)
			held := int64(tt.want * (flows.HeldMemory + tt.size + gso.Headroom - 20))
			if n := router.charged.Load() - idle; n != held {
				t.Errorf("%d bytes: charged %d for those held, want %d", tt.size, n, held)
			}
			if !recorded {
				router.stop() // which looks at the charge
				if n := router.stats.DropUnrecorded.Load(); n != sent {
					t.Errorf("%d bytes: %d dropped, want all", tt.size, n)
				}
				if f := log.ends(t)[0]; f == nil || f.OutboundPackets != 0 {
					t.Errorf("end: %+v", f)
				}
				continue
			}
			router.Recorded(log.await(t, 1)[0])
			b := make([]byte, tt.size)
			for i := range tt.want {
				if _, err := far.Read(b); err != nil || b[0] != byte(i) {
					t.Fatalf("far end got %d, %v, want %d", b[0], err, i)
				}
			}
			tuntest.Wait(t, "memory given back", func() bool { return router.charged.Load() == idle })
		}
	}
}

// TestHeldBeyondMemory: where there is no memory to hold a datagram, it is dropped.
func TestHeldBeyondMemory(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, log.options(Options{}))
	router.memory = mappingMemory + flows.FlowMemory + flows.HeldMemory + 100
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	router.route(tuntest.Frame{Data: datagram(client, server, make([]byte, 100))})
	router.route(tuntest.Frame{Data: datagram(client, server, []byte("small"))})
	if n := router.noMemory.Load(); n != 1 {
		t.Errorf("%d dropped for want of memory, want 1", n)
	}
	router.Recorded(log.all()[0])
	router.recorder.Turn()
	wantNext(t, far, "small")
}

// TestStuckLog: a datagram waits for its record for a time, and the record counts when it comes
// later.
func TestStuckLog(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	link, host := tuntest.NewPipe(1500)
	router := newRouter(t, link, dial.Options{Redirect: tuntest.ToLoopback}, log.options(Options{}))
	router.host, log.nat, router.recorder.Patience = host, router.NAT, 10*time.Millisecond
	router.run(t, func(f func() error) error { return f() })
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	for i := range 2 {
		router.sendTo(t, client, server, "one")
		router.sendTo(t, client, server, "two")
		tuntest.Wait(t, "both dropped", func() bool {
			return router.stats.DropUnrecorded.Load() == uint64(2*(i+1))
		})
	}
	router.Recorded(log.await(t, 1)[0])
	router.sendTo(t, client, server, "three")
	wantNext(t, far, "three")
}
