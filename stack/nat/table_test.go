//go:build linux

package nat

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	tunflow "syntap/tun/flow"
)

func testTable(l Limits) (*table, *Stats) {
	stats := new(Stats)
	o := Options{Limits: l}
	o.setDefaults()
	return newTable(&o, nil, stats), stats
}

// isLocal has clients from 198.51.100.128 on be programs of this host.
func isLocal(a netip.Addr) bool { return a.Is4() && a.As4()[3] >= 128 }

func TestMappingsEndWhenIdle(t *testing.T) {
	const s = time.Second
	type use struct {
		after time.Duration
		port  uint16 // of the destination; 0 = an answer comes
	}
	for _, tt := range []struct {
		name string
		echo bool
		uses []use // the first makes the mapping
		want time.Duration
	}{
		{"unanswered", false, []use{{0, 443}}, 300 * s},
		{"used again", false, []use{{0, 443}, {20 * s, 80}}, 320 * s},
		{"answered", false, []use{{0, 443}, {s, 0}}, 301 * s},
		{"answered and used again", false, []use{{0, 443}, {s, 0}, {100 * s, 443}}, 401 * s},
		{"name lookup", false, []use{{0, portDNS}, {s, 0}}, 11 * s},
		{"name lookup without answer", false, []use{{0, portDNS}}, 300 * s},
		{"two name lookups", false, []use{{0, portDNS}, {0, portDNS}, {s, 0}}, 301 * s},
		{"two name lookups answered", false, []use{
			{0, portDNS}, {0, portDNS}, {s, 0}, {s, 0},
		}, 12 * s},
		{"name lookup, then more", false, []use{{0, portDNS}, {s, 443}, {s, 0}}, 302 * s},
		{"echo", true, []use{{0, 0}}, 60 * s},
		{"echo answered", true, []use{{0, 0}, {s, 0}}, 61 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, stats := testTable(Limits{})
				ended := make(chan struct{})
				go func() { n.serve(); close(ended) }()
				start := time.Now()
				m := testMapping(netip.AddrPortFrom(clientV4, 5353))
				m.key.client.echo = tt.echo
				for i, u := range tt.uses {
					time.Sleep(u.after)
					switch {
					case i == 0:
						n.add(m, u.port, 1)
					case u.port == 0:
						n.heard(m, 1, n.now())
					default:
						if n.find(m.key, u.port, 1, n.now()) != m {
							t.Fatal("no mapping")
						}
					}
				}
				flows := &stats.UDP
				if tt.echo {
					flows = &stats.Echo
				}
				for flows.Load() != 0 && time.Since(start) < time.Hour {
					time.Sleep(time.Second / 2)
					synctest.Wait()
				}
				if got := time.Since(start); got != tt.want {
					t.Errorf("mapping lived %v, want %v", got, tt.want)
				}
				n.close()
				<-ended
			})
		})
	}
}

func testMapping(client netip.AddrPort) *mapping {
	return &mapping{
		key:     key{client: endpoint{client, false}},
		isLocal: isLocal(client.Addr()),
		stats:   new(Stats),
	}
}

// TestFlowsEndWhenIdle: an idle flow of a mapping in use ends within a quarter of the shortest
// timeout, whatever other mapping ends in between.
func TestFlowsEndWhenIdle(t *testing.T) {
	const s = time.Second
	synctest.Test(t, func(t *testing.T) {
		n, _ := testTable(Limits{})
		served := make(chan struct{})
		go func() { n.serve(); close(served) }()
		var ended []time.Duration
		o := Options{Ended: func(tunflow.Flow) { ended = append(ended, n.now()) }}
		m := testMapping(netip.AddrPortFrom(clientV4, 5353))
		m.router = &testRouter{memory: 1 << 30}
		m.recorder = &recorder{o: &o, table: n, opened: make(map[*tunflow.Datagram]*flow)}
		for at := time.Duration(0); at <= 700*s; at = n.now() {
			switch at {
			case 0:
				n.add(m, 443, 1)
			case 5 * s: // ends before the second sweep
				n.add(testMapping(netip.AddrPortFrom(clientV4, 5354)), 443, 1)
			case 200 * s:
				l := &flow{mapping: m, opened: new(tunflow.Datagram), admitted: true, used: at}
				if _, full := m.flows.add(l); full != nil {
					t.Error("no room for a flow")
				}
			default:
			}
			n.find(m.key, 443, 1, at)
			time.Sleep(5 * s)
			synctest.Wait()
		}
		if len(ended) != 1 || ended[0] < 500*s || ended[0] > 515*s {
			t.Errorf("the flow ended at %v, want 500s to 515s", ended)
		}
		n.close()
		<-served
	})
}

// A shorter time holds for the mappings there are.
func TestTimeoutsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, stats := testTable(Limits{})
		ended := make(chan struct{})
		go func() { n.serve(); close(ended) }()
		n.add(testMapping(netip.AddrPortFrom(clientV4, 5353)), 443, 1)
		time.Sleep(time.Minute)
		l := n.limits
		l.UDPTimeout = 90 * time.Second
		n.setLimits(l)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if stats.UDP.Load() != 1 {
			t.Error("the mapping has ended early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if stats.UDP.Load() != 0 {
			t.Error("the mapping lives on")
		}
		n.close()
		<-ended
	})
}

func TestFullTableEvictsOldestUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, stats := testTable(Limits{Mappings: 4, PerSource: 4})
		defer n.close()
		keyOf := func(port uint16) key {
			return key{client: endpoint{netip.AddrPortFrom(clientV4, port), false}}
		}
		add := func(client, port uint16, answered bool) {
			m := testMapping(netip.AddrPortFrom(clientV4, client))
			n.add(m, port, 1)
			if answered {
				n.heard(m, 1, n.now())
			}
			time.Sleep(time.Millisecond)
		}
		add(1, 443, true)
		add(2, portDNS, true)
		add(3, 443, false)
		add(4, portDNS, false)
		n.find(keyOf(2), portDNS, 1, n.now()) // makes 3 the oldest
		n.heard(n.byKey[keyOf(2)].mapping, 1, n.now())
		for _, want := range [][]uint16{{1, 2, 4}, {1, 2}, {1}} {
			if n.makeRoom(clientV4, false) != nil {
				t.Fatal("no room")
			}
			var left []uint16
			for port := range uint16(5) {
				if n.byKey[keyOf(port)] != nil {
					left = append(left, port)
				}
			}
			if diff := cmp.Diff(want, left); diff != "" {
				t.Errorf("mappings left (-want +got):\n%s", diff)
			}
			n.limits.Mappings = len(left)
		}
		if n.makeRoom(clientV4, false) == nil {
			t.Error("an answered mapping made room")
		}
		if got := stats.Evicted.Load(); got != 3 {
			t.Errorf("evicted: %d, want 3", got)
		}
	})
}

// TestSourcesShareTheTable: a source leaves room for others, whatever it sends: a client has a
// quarter of the table, the clients of a /64 half of it, the programs of this host all but an
// eighth.
func TestSourcesShareTheTable(t *testing.T) {
	v6 := func(network, host int) netip.Addr {
		b := clientV6.As16()
		b[7], b[15] = byte(network), byte(host)
		return netip.AddrFrom16(b)
	}
	onHost := netip.MustParseAddr("198.51.100.200")
	for _, tt := range []struct {
		name   string
		client func(i int) netip.Addr
		want   int // mappings
	}{
		{"one address", func(int) netip.Addr { return clientV4 }, 16},
		{"one IPv6 address", func(int) netip.Addr { return clientV6 }, 16},
		{"a /64", func(i int) netip.Addr { return v6(0, i) }, 32},
		{"two /64", func(i int) netip.Addr { return v6(i%2, i) }, 64},
		{"this host", func(int) netip.Addr { return onHost }, 56},
		{"this host's addresses", func(i int) netip.Addr {
			return []netip.Addr{onHost, onHost.Next()}[i%2]
		}, 56},
	} {
		for _, answered := range []bool{false, true} {
			n, stats := testTable(Limits{Mappings: 64})
			add := func(client netip.AddrPort) bool {
				if n.makeRoom(client.Addr(), isLocal(client.Addr())) != nil {
					return false
				}
				m := testMapping(client)
				n.add(m, 443, 1)
				if answered {
					n.heard(m, 1, n.now())
				}
				return true
			}
			entered, want := 0, map[bool]int{false: 100, true: tt.want}[answered]
			for i := range 100 {
				if add(netip.AddrPortFrom(tt.client(i), uint16(1000+i))) {
					entered++
				}
			}
			if got := int(stats.UDP.Load()); got != tt.want {
				t.Errorf("%s, answered %t: %d mappings, want %d", tt.name, answered, got, tt.want)
			}
			if entered != want { // unanswered ones make room for their own
				t.Errorf("%s, answered %t: %d entered, want %d", tt.name, answered, entered, want)
			}
			if tt.want < 64 && !add(netip.MustParseAddrPort("198.51.100.99:53")) {
				t.Errorf("%s, answered %t: no room for another client", tt.name, answered)
			}
			n.close()
			if left := len(n.sources) + len(n.own) + n.all.size; left != 0 {
				t.Errorf("%s: %d sources, sockets and mappings left", tt.name, left)
			}
		}
	}
}

// TestFullLabels: each limit has a counter of its own. That of the host's own programs is a part of
// Mappings.
func TestFullLabels(t *testing.T) {
	n, stats := testTable(Limits{Mappings: 8, PerSource: 2})
	defer n.close()
	fill := func(client netip.Addr) *atomic.Uint64 {
		for port := range uint16(20) {
			if full := n.makeRoom(client, isLocal(client)); full != nil {
				return full
			}
			m := testMapping(netip.AddrPortFrom(client, 1000+port))
			n.add(m, 443, 1)
			n.heard(m, 1, n.now())
		}
		t.Fatalf("%s has no limit", client)
		return nil
	}
	if fill(clientV4) != &stats.DropPerSource {
		t.Error("a client beyond PerSource is counted otherwise")
	}
	if fill(netip.MustParseAddr("198.51.100.200")) != &stats.DropMappings {
		t.Error("a program of this host is counted otherwise")
	}
	if fill(clientV4.Next()) != &stats.DropMappings {
		t.Error("a client that meets a full table is counted otherwise")
	}
}
