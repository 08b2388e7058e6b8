package mappings

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	clientV4 = netip.MustParseAddr("198.51.100.1")
	clientV6 = netip.MustParseAddr("2001:db8:1::1")
)

func testTable(l Limits) (*Table, *Stats) {
	stats := new(Stats)
	return New(l, stats, true), stats
}

// testMapping notes its end, and the times at which its idle flows are to end.
type testMapping struct {
	Entry
	ended bool
	idle  []time.Duration
}

func (m *testMapping) End() { m.ended = true }

func (m *testMapping) EndIdleFlows(since time.Duration) { m.idle = append(m.idle, since) }

func newMapping(client netip.AddrPort) *testMapping {
	m := &testMapping{Entry: Entry{
		Key: Key{Client: Endpoint{client, false}}, IsLocal: isLocal(client.Addr()),
	}}
	m.Mapping = m
	return m
}

// isLocal has clients from 198.51.100.128 on be programs of this host.
func isLocal(a netip.Addr) bool { return a.Is4() && a.As4()[3] >= 128 }

func TestMappingsEndWhenIdle(t *testing.T) {
	const (
		s                    = time.Second
		query, other, answer = "query", "other", "answer"
	)
	type use struct {
		after time.Duration
		what  string // a query of the DNS, a datagram to another port, or an answer
	}
	for _, tt := range []struct {
		name string
		echo bool
		uses []use // the first makes the mapping
		want time.Duration
	}{
		{"unanswered", false, []use{{0, other}}, 300 * s},
		{"used again", false, []use{{0, other}, {20 * s, other}}, 320 * s},
		{"answered", false, []use{{0, other}, {s, answer}}, 301 * s},
		{"answered and used again", false, []use{
			{0, other}, {s, answer}, {100 * s, other},
		}, 401 * s},
		{"name lookup", false, []use{{0, query}, {s, answer}}, 11 * s},
		{"name lookup without answer", false, []use{{0, query}}, 300 * s},
		{"two name lookups", false, []use{{0, query}, {0, query}, {s, answer}}, 301 * s},
		{"two name lookups answered", false, []use{
			{0, query}, {0, query}, {s, answer}, {s, answer},
		}, 12 * s},
		{"name lookup, then more", false, []use{{0, query}, {s, other}, {s, answer}}, 302 * s},
		{"echo", true, []use{{0, other}}, 60 * s},
		{"echo answered", true, []use{{0, other}, {s, answer}}, 61 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, stats := testTable(Limits{})
				ended := make(chan struct{})
				go func() { n.Serve(); close(ended) }()
				start := time.Now()
				m := newMapping(netip.AddrPortFrom(clientV4, 5353))
				m.Client.Echo = tt.echo
				for i, u := range tt.uses {
					time.Sleep(u.after)
					switch {
					case i == 0:
						n.Add(&m.Entry, u.what == query, 1)
					case u.what == answer:
						n.Heard(&m.Entry, 1, n.Now())
					default:
						if n.Find(m.Key, u.what == query, 1, n.Now()) != m {
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
				n.Close()
				<-ended
			})
		})
	}
}

// TestFlowsEndWhenIdle: the idle flows of a mapping in use are ended within a quarter of the
// shortest timeout, whatever other mapping ends in between.
func TestFlowsEndWhenIdle(t *testing.T) {
	const s = time.Second
	synctest.Test(t, func(t *testing.T) {
		n, _ := testTable(Limits{})
		served := make(chan struct{})
		go func() { n.Serve(); close(served) }()
		m := newMapping(netip.AddrPortFrom(clientV4, 5353))
		for at := time.Duration(0); at <= 700*s; at = n.Now() {
			switch at {
			case 0:
				n.Add(&m.Entry, false, 1)
			case 5 * s: // ends before the second sweep
				n.Add(&newMapping(netip.AddrPortFrom(clientV4, 5354)).Entry, false, 1)
			default:
			}
			n.Find(m.Key, false, 1, at)
			time.Sleep(5 * s)
			synctest.Wait()
		}
		n.Close()
		<-served
		// A flow that was used last at 200 s is idle at 500 s.
		i := slices.IndexFunc(m.idle, func(since time.Duration) bool { return since >= 200*s })
		if i < 0 || m.idle[i] > 215*s {
			t.Errorf("flows are ended that are idle since %v, want one of 200s to 215s", m.idle)
		}
		if !m.ended {
			t.Error("the mapping has not ended with the table")
		}
	})
}

// A shorter time holds for the mappings there are.
func TestTimeoutsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, stats := testTable(Limits{})
		ended := make(chan struct{})
		go func() { n.Serve(); close(ended) }()
		n.Add(&newMapping(netip.AddrPortFrom(clientV4, 5353)).Entry, false, 1)
		time.Sleep(time.Minute)
		l := n.limits
		l.UDPTimeout = 90 * time.Second
		n.SetLimits(l)
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
		n.Close()
		<-ended
	})
}

func TestFullTableEvictsOldestUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, stats := testTable(Limits{Mappings: 4, PerSource: 4})
		defer n.Close()
		keyOf := func(port uint16) Key {
			return Key{Client: Endpoint{netip.AddrPortFrom(clientV4, port), false}}
		}
		add := func(client uint16, names, answered bool) {
			m := newMapping(netip.AddrPortFrom(clientV4, client))
			n.Add(&m.Entry, names, 1)
			if answered {
				n.Heard(&m.Entry, 1, n.Now())
			}
			time.Sleep(time.Millisecond)
		}
		add(1, false, true)
		add(2, true, true)
		add(3, false, false)
		add(4, true, false)
		n.Find(keyOf(2), true, 1, n.Now()) // makes 3 the oldest
		n.Heard(n.byKey[keyOf(2)], 1, n.Now())
		for _, want := range [][]uint16{{1, 2, 4}, {1, 2}, {1}} {
			if n.MakeRoom(clientV4, false) != nil {
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
		if n.MakeRoom(clientV4, false) == nil {
			t.Error("an answered mapping made room")
		}
		if got := stats.Evicted.Load(); got != 3 {
			t.Errorf("evicted: %d, want 3", got)
		}
	})
}

// TestAnswerBehindTheEnd: an answer that comes as its mapping ends changes nothing.
func TestAnswerBehindTheEnd(t *testing.T) {
	t.Parallel()
	n, stats := testTable(Limits{Mappings: 1, PerSource: 1})
	defer n.Close()
	m := newMapping(netip.AddrPortFrom(clientV4, 5353))
	n.Add(&m.Entry, false, 1)
	if n.MakeRoom(clientV4, false) != nil || !m.ended {
		t.Fatal("the mapping makes no room")
	}
	n.Heard(&m.Entry, 1, n.Now())
	if n.all.size != 0 || len(n.sources) != 0 || stats.UDP.Load() != 0 {
		t.Errorf("%d mappings, %d sources", n.all.size, len(n.sources))
	}
	if n.all.front(answered) != nil {
		t.Error("the mapping is in use again")
	}
	if n.MakeRoom(clientV4, false) != nil {
		t.Error("no room for the next")
	}
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
				if n.MakeRoom(client.Addr(), isLocal(client.Addr())) != nil {
					return false
				}
				m := newMapping(client)
				n.Add(&m.Entry, false, 1)
				if answered {
					n.Heard(&m.Entry, 1, n.Now())
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
			n.Close()
			if left := len(n.sources) + len(n.outside) + n.all.size; left != 0 {
				t.Errorf("%s: %d sources, sockets and mappings left", tt.name, left)
			}
		}
	}
}

// TestFullLabels: each limit has a counter of its own. That of the host's own programs is a part of
// Mappings.
func TestFullLabels(t *testing.T) {
	n, stats := testTable(Limits{Mappings: 8, PerSource: 2})
	defer n.Close()
	fill := func(client netip.Addr) *atomic.Uint64 {
		for port := range uint16(20) {
			if full := n.MakeRoom(client, isLocal(client)); full != nil {
				return full
			}
			m := newMapping(netip.AddrPortFrom(client, 1000+port))
			n.Add(&m.Entry, false, 1)
			n.Heard(&m.Entry, 1, n.Now())
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
