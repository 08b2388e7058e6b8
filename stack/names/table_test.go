package names

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a table with a clock and words for its questions.
type script struct {
	t *testing.T
	*Table
	now time.Time
}

func newScript(t *testing.T, limit int) *script {
	t.Helper()
	table := New(limit)
	return &script{t, table, table.epoch}
}

func (s *script) learn(c Client, question string, answers ...string) {
	s.Learn(c, response(question, answers...), s.now)
}

// address has a client ask for a name that has one address.
func (s *script) address(c Client, name, addr string, ttl time.Duration) {
	s.learn(c, name+" A", fmt.Sprintf("%s %d A %s", name, ttl/time.Second, addr))
}

// want connects and disconnects at once.
func (s *script) want(c Client, addr string, names ...string) {
	s.t.Helper()
	s.End(s.open(c, addr, names...), s.now)
}

func (s *script) open(c Client, addr string, want ...string) Use {
	s.t.Helper()
	n, u := s.Begin(c, netip.MustParseAddr(addr), s.now)
	var got []string
	if n.Name != "" {
		got = append([]string{n.Name}, n.Others...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("at %v: names of %s for %v (-want +got):\n%s", s.now.Sub(s.epoch), addr, c, diff)
	}
	return u
}

func (s *script) pass(d time.Duration) { s.now = s.now.Add(d) }

var (
	alice = Machine(netip.MustParseAddr("192.0.2.10"))
	bob   = Machine(netip.MustParseAddr("192.0.2.11"))
)

// TestClients has clients connect to addresses that others have asked for.
func TestClients(t *testing.T) {
	t.Parallel()
	s := newScript(t, Limit)
	const server = "203.0.113.1"
	s.address(alice, "a.example", server, time.Minute)
	s.address(User(1000), "u.example", server, time.Minute)
	s.want(alice, server, "a.example")
	s.want(bob, server)
	s.want(User(1000), server, "u.example")
	s.want(User(0), server)
	s.want(UnknownUser(), server)
	s.address(UnknownUser(), "unknown.example", server, time.Minute)
	s.want(UnknownUser(), server, "unknown.example")
	s.want(User(0), server)
	s.pass(time.Second)
	s.address(AllUsers(), "all.example", server, time.Minute)
	s.want(User(0), server, "all.example")
	s.want(User(1000), server, "all.example", "u.example")
	s.want(alice, server, "a.example")
	s.pass(time.Second)
	s.address(User(1000), "u.example", server, time.Minute)
	s.want(User(1000), server, "u.example", "all.example")
	s.address(User(1000), "all.example", server, time.Minute)
	s.want(User(1000), server, "all.example", "u.example")
	s.want(alice, "203.0.113.2")
}

// TestTime has names end at their time, and those of addresses in use later.
func TestTime(t *testing.T) {
	t.Parallel()
	s := newScript(t, Limit)
	const server = "203.0.113.1"
	s.address(alice, "a.example", server, time.Second)
	s.pass(time.Second + Grace - 1)
	u := s.open(alice, server, "a.example")
	s.pass(time.Hour)
	s.want(alice, server, "a.example") // a second connection of the same pool
	s.pass(time.Hour)
	s.End(u, s.now)
	s.pass(Grace - 1)
	s.want(alice, server, "a.example")
	s.pass(Grace)
	s.want(alice, server)
	if got := s.Stats(); got != (Stats{}) {
		t.Errorf("%+v remain", got)
	}

	s.address(alice, "a.example", server, 2*time.Hour)
	s.pass(time.Hour)
	s.address(alice, "a.example", server, time.Second) // a cache further away ends it no sooner
	s.pass(time.Hour)
	s.want(alice, server, "a.example")
}

// TestNames has a client ask for many names of one address.
func TestNames(t *testing.T) {
	t.Parallel()
	s := newScript(t, Limit)
	const server = "203.0.113.1"
	s.address(alice, "a.example", server, time.Second)
	s.address(alice, "b.example", server, time.Minute)
	first, u := s.Begin(alice, netip.MustParseAddr(server), s.now)
	s.End(u, s.now)
	s.want(alice, server, "b.example", "a.example")
	s.address(alice, "a.example", server, time.Second)
	s.want(alice, server, "a.example", "b.example")
	s.pass(Grace + 2*time.Second)
	s.want(alice, server, "b.example")
	var want []string
	for i := range 2 * maxNames {
		name := fmt.Sprintf("n%d.example", i)
		s.address(alice, name, server, time.Minute)
		want = append([]string{name}, want...)
	}
	s.want(alice, server, want[:maxNames]...)
	if diff := cmp.Diff(Names{"b.example", []string{"a.example"}}, first); diff != "" {
		t.Errorf("names that a caller has have changed (-want +got):\n%s", diff)
	}
}

// TestTargets has clients and resolvers find the end of a chain by themselves.
func TestTargets(t *testing.T) {
	t.Parallel()
	const server = "203.0.113.1"
	for _, tt := range []struct {
		name     string
		question string
		answer   string
	}{
		{"alias", "www.example A", "www.example 60 CNAME cdn.example"},
		{"service", "www.example HTTPS", "www.example 60 HTTPS 1 cdn.example alpn=h2"},
		{"alias of a service", "www.example HTTPS", "www.example 60 HTTPS 0 cdn.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, Limit)
			s.learn(AllUsers(), tt.question, tt.answer)
			s.address(User(1), "cdn.example", server, time.Minute)
			s.want(User(1), server, "cdn.example") // another client
			s.address(AllUsers(), "cdn.example", server, time.Minute)
			s.want(User(0), server, "www.example", "cdn.example")
			s.pass(time.Minute + Grace)
			s.address(AllUsers(), "cdn.example", "203.0.113.2", time.Minute)
			s.want(User(0), "203.0.113.2", "cdn.example")
		})
	}
	s := newScript(t, Limit)
	s.learn(alice, "a.example A", "a.example 60 CNAME b.example")
	s.learn(alice, "b.example A", "b.example 60 CNAME c.example")
	s.address(alice, "c.example", server, time.Minute)
	s.want(alice, server, "a.example", "b.example", "c.example")

	// The chain in one answer, as a forwarder gives it, makes no aliases of its links.
	s.learn(bob, "a.example A", "a.example 60 CNAME b.example", "b.example 60 A 203.0.113.2")
	s.address(bob, "b.example", server, time.Minute)
	s.want(bob, server, "b.example")
	s.want(bob, "203.0.113.2", "a.example")
}

// TestBounds has one source ask for all that it can.
func TestBounds(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	long := strings.Repeat(strings.Repeat("x", 60)+".", 4) + "example"
	for _, tt := range []struct {
		name  string
		learn func(s *script, i int)
	}{
		{"addresses", func(s *script, i int) {
			addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			s.address(alice, "n.example", addr.String(), time.Hour)
		}},
		{"long names", func(s *script, i int) {
			s.address(alice, fmt.Sprint(i, ".", long), fmt.Sprintf("10.0.%d.%d", i>>8&255, i&255), time.Hour)
		}},
		{"names of an address", func(s *script, i int) {
			s.address(alice, fmt.Sprint(i, ".", long), fmt.Sprintf("10.0.0.%d", i%200), time.Hour)
		}},
		{"targets", func(s *script, i int) {
			s.learn(alice, "n.example HTTPS", fmt.Sprintf("n.example 60 HTTPS 0 t%d.example", i))
		}},
		{"machines of a /64", func(s *script, i int) {
			machine := netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1))
			s.address(Machine(machine), "n.example", "203.0.113.9", time.Hour)
		}},
		{"open connections", func(s *script, i int) {
			addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()
			s.address(alice, "n.example", addr, time.Hour)
			s.open(alice, addr, "n.example")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, limit)
			s.address(bob, "b.example", "203.0.113.1", time.Hour)
			for i := range 5000 {
				tt.learn(s, i)
				if got := s.Stats(); got.Bytes > limit/3 {
					t.Fatalf("after %d answers %+v, want at most a quarter of %d bytes", i, got, limit)
				}
			}
			s.want(bob, "203.0.113.1", "b.example")
			if s.Stats().Evicted == 0 && s.Stats().Bytes > limit/4 {
				t.Errorf("%+v, want evictions", s.Stats())
			}
		})
	}
}

// TestBoundOfAll has many sources fill the table: the least recent answers give way, those of open
// connections last.
func TestBoundOfAll(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	s := newScript(t, limit)
	s.address(alice, "open.example", "203.0.113.1", time.Hour)
	u := s.open(alice, "203.0.113.1", "open.example")
	s.address(alice, "old.example", "203.0.113.2", time.Hour)
	for i := range 1000 {
		s.address(Machine(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})), "n.example", "203.0.113.9", time.Hour)
	}
	if got := s.Stats(); got.Bytes > limit || got.Evicted == 0 || got.Open != 1 {
		t.Errorf("%+v, want at most %d bytes", got, limit)
	}
	s.want(alice, "203.0.113.1", "open.example")
	s.want(alice, "203.0.113.2")
	s.want(Machine(netip.MustParseAddr("10.0.3.231")), "203.0.113.9", "n.example")
	s.End(u, s.now)
	if got := s.Stats(); got.Open != 0 {
		t.Errorf("%+v, want none open", got)
	}
}

// TestEndOfEvicted has a use outlast its address in the table.
func TestEndOfEvicted(t *testing.T) {
	t.Parallel()
	s := newScript(t, 16<<10)
	var uses []Use
	for i := range 100 {
		addr := fmt.Sprintf("10.0.0.%d", i)
		s.address(alice, "n.example", addr, time.Hour)
		uses = append(uses, s.open(alice, addr, "n.example"))
	}
	s.address(alice, "again.example", "10.0.0.0", time.Second)
	for _, u := range uses {
		s.End(u, s.now)
	}
	if got := s.Stats(); got.Open != 0 || got.Evicted == 0 {
		t.Errorf("%+v, want none open, some evicted", got)
	}
	s.want(alice, "10.0.0.0", "again.example")
	s.pass(time.Hour + time.Minute)
	s.want(alice, "10.0.0.0")
}
