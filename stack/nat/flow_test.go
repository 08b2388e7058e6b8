//go:build linux

package nat

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// testLog is the log of a NAT's flows. Records are written at once, or by the test.
type testLog struct {
	atOnce bool
	nat    *NAT

	mu        sync.Mutex // guards the fields below
	admission tunflow.Admission
	opened    []*tunflow.Datagram // all that were admitted
	refused   int
	ended     map[*tunflow.Datagram]tunflow.Flow
	responses []*tunflow.DNS
	faults    []string
}

func newTestLog(atOnce bool) *testLog {
	return &testLog{atOnce: atOnce, ended: make(map[*tunflow.Datagram]tunflow.Flow)}
}

// options returns o with the log.
func (l *testLog) options(o Options) Options {
	o.Opened, o.Ended, o.Answered = l.open, l.end, l.answered
	return o
}

func (l *testLog) open(d *tunflow.Datagram) tunflow.Admission {
	l.mu.Lock()
	a := l.admission
	if a == tunflow.Admit {
		d.Opening = len(l.opened)
		l.opened = append(l.opened, d)
	} else {
		l.refused++
	}
	l.mu.Unlock()
	if l.atOnce && a == tunflow.Admit {
		l.nat.Recorded(d)
	}
	return a
}

func (l *testLog) end(f tunflow.Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, again := l.ended[f.Datagram]; again {
		l.faults = append(l.faults, "ended twice: "+f.String())
	}
	if f.Datagram.Denied || !slices.Contains(l.opened, f.Datagram) {
		l.faults = append(l.faults, "ended unopened: "+f.String())
	}
	l.ended[f.Datagram] = f
}

func (l *testLog) answered(client netip.AddrPort, opening any, d *tunflow.DNS) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if query := l.opened[opening.(int)]; query.Client != client || query.DNS.ID != d.ID {
		l.faults = append(l.faults, fmt.Sprintf("%v got %+v, an answer to %+v", client, d, query))
	}
	l.responses = append(l.responses, d)
}

// learned returns the number of DNS responses so far.
func (l *testLog) learned() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.responses)
}

// endings returns the number of flows that have ended.
func (l *testLog) endings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ended)
}

func (l *testLog) admit(a tunflow.Admission) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.admission = a
}

// all returns the openings so far.
func (l *testLog) all() []*tunflow.Datagram {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.opened)
}

// await returns the first n openings when they are there, and fails the test if there are more.
func (l *testLog) await(t *testing.T, n int) []*tunflow.Datagram {
	t.Helper()
	eventually(t, strconv.Itoa(n)+" openings", func() bool { return len(l.all()) >= n })
	all := l.all()
	if len(all) != n {
		t.Fatalf("%d openings, want %d", len(all), n)
	}
	return all
}

// ends returns the ends of the openings, in their order; nil for one that has not ended. Times are
// left out.
func (l *testLog) ends(t *testing.T) (all []*tunflow.Flow) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fault := range l.faults {
		t.Error(fault)
	}
	for _, d := range l.opened {
		f, ok := l.ended[d]
		if !ok {
			all = append(all, nil)
			continue
		}
		if f.Started != d.Time || f.Duration < 0 {
			t.Errorf("%s: began %v, lasted %v", f, f.Started, f.Duration)
		}
		f.Started, f.Duration = time.Time{}, 0
		all = append(all, &f)
	}
	return all
}

// startRecorded is startRouter with a log.
func startRecorded(t *testing.T, l *testLog, o Options, policy dial.Policy) *testRouter {
	t.Helper()
	link, host := tuntest.NewPipe(1500)
	r := newRouter(t, link, dial.Options{Policy: policy, Redirect: toLoopback}, l.options(o))
	r.host, l.nat = host, r.NAT
	r.run(t, func(f func() error) error { return f() })
	return r
}

// sendTo sends a datagram of a client.
func (r *testRouter) sendTo(t *testing.T, client, server netip.AddrPort, payload string) {
	t.Helper()
	r.send(t, tuntest.Frame{Data: datagram(client, server, []byte(payload))})
}

// wantNext fails the test unless a far end gets payloads next, in order.
func wantNext(t *testing.T, far *net.UDPConn, payloads ...string) (peer netip.AddrPort) {
	t.Helper()
	b := make([]byte, 1<<16)
	for _, want := range payloads {
		n, from, err := far.ReadFromUDPAddrPort(b)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("far end got %q, %v, want %q", b[:n], err, want)
		}
		peer = from
	}
	return peer
}

// wantNothing fails the test if a far end has got something.
func wantNothing(t *testing.T, far *net.UDPConn) {
	t.Helper()
	_ = far.SetDeadline(time.Now().Add(time.Millisecond))
	b := make([]byte, 100)
	if n, err := far.Read(b); err == nil {
		t.Fatalf("far end got %q", b[:n])
	}
	_ = far.SetDeadline(time.Now().Add(patience))
}

// TestNoDatagramBeforeItsRecord: the datagrams of a flow leave when it is on record, in the order
// in which they came, and those of others meanwhile.
func TestNoDatagramBeforeItsRecord(t *testing.T) {
	udpFamilies(t, func(t *testing.T, clientAddr, serverAddr netip.Addr, loopback string) {
		far, other := listenUDP(t, loopback), listenUDP(t, loopback)
		log := newTestLog(false)
		router := startRecorded(t, log, Options{}, dial.Policy{})
		client := netip.AddrPortFrom(clientAddr, 5353)
		server := netip.AddrPortFrom(serverAddr, portOf(far))
		second := netip.AddrPortFrom(serverAddr, portOf(other))
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

		target, _ := toLoopback(server)
		target2, _ := toLoopback(second)
		want := []*tunflow.Datagram{
			{Proto: tunflow.UDP, Client: client, Server: server, Length: 3, Upstream: target},
			{Proto: tunflow.UDP, Client: client, Server: second, Length: 5, Upstream: target2},
		}
		ignoreTime := cmpopts.IgnoreFields(tunflow.Datagram{}, "Time", "Decision", "Opening")
		compare := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
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
	router := newRouter(t, link, dial.Options{Redirect: toLoopback}, log.options(Options{}))
	router.host, log.nat = host, router.NAT
	router.run(t, ns.Do)
	for seq := range byte(3) {
		router.send(t, tuntest.Frame{Data: echo(clientV4, serverV4, 1, seq, []byte("ping")).Packet()})
	}
	opened := log.await(t, 1)
	eventually(t, "all requests", func() bool { return router.routed.Load() == 3 })
	router.wantNoAnswer(t)
	router.Recorded(opened[0])
	for seq := range byte(3) {
		if _, m := parse(t, router.receive(t).Data); m[7] != seq {
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
	far := listenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	router := startRecorded(t, log, Options{}, dial.Policy{})
	server := netip.AddrPortFrom(serverV4, portOf(far))
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
		for i := range maxHeld {
			router.sendTo(t, client, server, strconv.Itoa(i))
		}
		for i := range maxHeld {
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
		far := listenUDP(t, loopback)
		log := newTestLog(true)
		router := startRecorded(t, log, Options{}, dial.Policy{})
		client := netip.AddrPortFrom(clientAddr, 5353)
		server := netip.AddrPortFrom(serverAddr, portOf(far))
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
	for _, tt := range []struct{ size, want int }{{10, maxHeld}, {3000, heldBytes / 3028}} {
		for _, recorded := range []bool{true, false} {
			far := listenUDP(t, "127.0.0.1:0")
			log := newTestLog(false)
			router := startRecorded(t, log, Options{}, dial.Policy{})
			client := netip.AddrPortFrom(clientV4, 5353)
			server := netip.AddrPortFrom(serverV4, portOf(far))
			const sent = 100
			for i := range sent {
				payload := randomBytes(tt.size)
				payload[0] = byte(i)
				router.sendTo(t, client, server, string(payload))
			}
			eventually(t, "all read", func() bool { return router.routed.Load() == sent })
			if n := router.stats.DropUnrecorded.Load(); n != uint64(sent-tt.want) {
				t.Errorf("%d bytes: %d dropped, want %d", tt.size, n, sent-tt.want)
			}
			idle := int64(mappingMemory + flowMemory)
			held := int64(tt.want * (heldMemory + tt.size + headroom - 20))
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
			eventually(t, "memory given back", func() bool { return router.charged.Load() == idle })
		}
	}
}

// TestHeldBeyondMemory: where there is no memory to hold a datagram, it is dropped.
func TestHeldBeyondMemory(t *testing.T) {
	far := listenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	router := newRouter(t, &sink{}, dial.Options{Redirect: toLoopback}, log.options(Options{}))
	router.memory = mappingMemory + flowMemory + heldMemory + 100
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, portOf(far))
	router.route(tuntest.Frame{Data: datagram(client, server, make([]byte, 100))})
	router.route(tuntest.Frame{Data: datagram(client, server, []byte("small"))})
	if n := router.noMemory.Load(); n != 1 {
		t.Errorf("%d dropped for want of memory, want 1", n)
	}
	router.Recorded(log.all()[0])
	router.recorder.turn()
	wantNext(t, far, "small")
}

// TestStuckLog: a datagram waits for its record for a time, and the record counts when it comes
// later.
func TestStuckLog(t *testing.T) {
	far := listenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	link, host := tuntest.NewPipe(1500)
	router := newRouter(t, link, dial.Options{Redirect: toLoopback}, log.options(Options{}))
	router.host, log.nat, router.recorder.patience = host, router.NAT, 10*time.Millisecond
	router.run(t, func(f func() error) error { return f() })
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, portOf(far))
	for i := range 2 {
		router.sendTo(t, client, server, "one")
		router.sendTo(t, client, server, "two")
		eventually(t, "both dropped", func() bool {
			return router.stats.DropUnrecorded.Load() == uint64(2*(i+1))
		})
	}
	router.Recorded(log.await(t, 1)[0])
	router.sendTo(t, client, server, "three")
	wantNext(t, far, "three")
}

// TestDeniedFlows: a flow that policy forbids is on record once, and each of its datagrams is
// answered.
func TestDeniedFlows(t *testing.T) {
	log := newTestLog(false)
	policy := dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	o := Options{Limits: Limits{Mappings: 64, PerSource: 2, UDPTimeout: 50 * time.Millisecond}}
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
	eventually(t, "the time of a mapping", func() bool {
		return time.Since(used) > 50*time.Millisecond
	})
	before = len(log.all())
	deny(servers[0])
	if n := len(log.all()) - before; n != 1 {
		t.Errorf("%d openings after the time of a mapping, want another", n)
	}
	log.admit(tunflow.Wait)
	router.sendTo(t, client, netip.MustParseAddrPort("203.0.113.9:80"), "secret")
	eventually(t, "a drop", func() bool { return router.stats.DropWaiting.Load() == 1 })
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
		server := netip.AddrPortFrom(netip.MustParseAddr(tuntest.ServerAddr4), portOf(far))
		router.exchange(t, client, server, far)
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
	far := listenUDP(t, "127.0.0.1:0")
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, portOf(far))
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
	o := Options{Limits: Limits{UDPTimeout: 200 * time.Millisecond}}
	router := startRecorded(t, log, o, dial.Policy{})
	busy, idle := listenUDP(t, "127.0.0.1:0"), listenUDP(t, "127.0.0.1:0")
	client := netip.AddrPortFrom(clientV4, 5353)
	router.sendTo(t, client, netip.AddrPortFrom(serverV4, portOf(idle)), "once")
	eventually(t, "the end of the idle flow", func() bool {
		router.sendTo(t, client, netip.AddrPortFrom(serverV4, portOf(busy)), "again")
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
	var ended []*flow
	o.Opened = func(d *tunflow.Datagram) tunflow.Admission {
		m := router.mappingAt(key{client: endpoint{client, false}, local: loopbackV4})
		ended = m.flows.close() // as where the mapping makes room
		return log.open(d)
	}
	router = newRouter(t, &sink{}, dial.Options{Redirect: toLoopback}, o)
	router.route(tuntest.Frame{Data: datagram(client, netip.AddrPortFrom(serverV4, 80), nil)})
	router.recorder.report(ended...)
	if log.ends(t); log.endings() != 1 {
		t.Errorf("%d flows have ended, want 1", log.endings())
	}
}

// TestManyFlows: a mapping has a bounded number of flows; beyond that the one that has been idle
// longest ends. All are charged.
func TestManyFlows(t *testing.T) {
	log := newTestLog(true)
	router := newRouter(t, &sink{}, dial.Options{Redirect: toLoopback}, log.options(Options{}))
	log.nat = router.NAT
	client := netip.AddrPortFrom(clientV4, 5353)
	send := func(port uint16) {
		router.route(tuntest.Frame{Data: datagram(client, netip.AddrPortFrom(serverV4, port), nil)})
	}
	const more = 10
	for port := range uint16(maxFlows + more) {
		send(20000 + port)
		send(20000 + more) // is in use, and stays
	}
	ends := log.ends(t)
	if len(ends) != maxFlows+more {
		t.Fatalf("%d openings, want %d", len(ends), maxFlows+more)
	}
	for i, f := range ends {
		// The flow in use was opened second.
		if ended := f != nil; ended != (i <= more && i != 1) {
			t.Errorf("flow %d: ended %t", i, ended)
		}
	}
	idle := int64(mappingMemory+namesMemory) + maxFlows*flowMemory
	if n := router.charged.Load(); n != idle {
		t.Errorf("charged %d, want %d", n, idle)
	}
	router.memory = idle // no more: the oldest gives way, whatever the bound
	send(10000)
	if n := len(log.all()); n != maxFlows+more+1 {
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
	seen := router.exchange(t, client, netip.AddrPortFrom(server, portOf(far)), far)
	_, _ = stranger.WriteToUDPAddrPort([]byte("hello"), seen)
	if from, _, _ := router.receiveUDP(t); from.Port() != portOf(stranger) {
		t.Errorf("datagram from %s", from)
	}
	if n := router.stats.Unsolicited.Load(); n != 1 {
		t.Errorf("%d unsolicited, want 1", n)
	}
	log.await(t, 1)
	router.exchange(t, client, netip.AddrPortFrom(server, portOf(stranger)), stranger)
	log.await(t, 2)
	router.stop()
	if f := log.ends(t)[0]; f == nil || f.Outcome != tunflow.NoAnswer || f.InboundPackets != 0 {
		t.Errorf("end: %+v", f)
	}
}

// TestGSOCounts: a GSO packet counts as its datagrams, also where the host does not take all.
func TestGSOCounts(t *testing.T) {
	far := listenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	router := startRecorded(t, log, Options{}, dial.Policy{})
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, portOf(far))
	want := randomBytes(20*1200 + 7)
	for range 2 {
		router.send(t, tuntest.Offloaded(datagram(client, server, want), 1200))
	}
	d := log.await(t, 1)[0]
	router.Recorded(d)
	for range 2 {
		wantDatagrams(t, far, want, 1200)
	}
	eventually(t, "an empty queue", func() bool {
		return router.charged.Load() == mappingMemory+flowMemory
	})
	router.stop()
	f := log.ends(t)[0]
	if d.Length != 1200 || f.OutboundPackets != 42 || f.Outbound != uint64(2*len(want)) {
		t.Errorf("opening %+v, end %+v", d, f)
	}
}
