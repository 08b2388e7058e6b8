package virtual

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var pool = Pool{V4: netip.MustParsePrefix("198.18.0.0/15"), V6: netip.MustParsePrefix("fd00:1:2:3::/64")}

func addrs(ss ...string) (all []netip.Addr) {
	for _, s := range ss {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func assign(t *testing.T, table *Table, name string, real ...string) (v4, v6 netip.Addr) {
	t.Helper()
	return assignUntil(t, table, name, time.Now().Add(time.Hour), real...)
}

func assignUntil(
	t *testing.T, table *Table, name string, expires time.Time, real ...string,
) (v4, v6 netip.Addr) {
	t.Helper()
	var of [2][]netip.Addr
	for _, a := range addrs(real...) {
		of[FamilyOf(a)] = append(of[FamilyOf(a)], a)
	}
	v4, err := table.Assign(name, V4, of[V4], expires)
	if err == nil {
		v6, err = table.Assign(name, V6, of[V6], expires)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v4, v6
}

// Each name has addresses of its own, and keeps them.
func TestAssign(t *testing.T) {
	t.Parallel()
	reserved := netip.MustParsePrefix("198.18.0.0/30")
	p := pool
	p.Reserved = reserved.Contains
	table, seen := New(p, nil), make(map[netip.Addr]string)
	for i := range 600 {
		name := fmt.Sprintf("host%d.example.com", i)
		v4, v6 := assign(t, table, name, "203.0.113.1")
		for _, a := range []netip.Addr{v4, v6} {
			if seen[a] != "" || reserved.Contains(a) || !table.Contains(a) {
				t.Fatalf("%s has %s, and %q has it", name, a, seen[a])
			}
			seen[a] = name
		}
	}
	for a, name := range seen {
		if got, ok := table.Name(a); got != name || !ok {
			t.Errorf("%s stands for %q, want %q", a, got, name)
		}
		if v4, v6 := assign(t, table, name, "203.0.113.2"); a != v4 && a != v6 {
			t.Errorf("%s has %s and %s, want %s", name, v4, v6, a)
		}
	}
	for _, a := range addrs("198.18.0.1", "198.19.255.253", "203.0.113.1", "fd00:1:2:3::ffff:1", "fd00:1:2:4::2", "::") {
		if name, ok := table.Name(a); ok {
			t.Errorf("%s stands for %q", a, name)
		}
	}
	if _, ok := (*Table)(nil).Name(addrs("198.18.0.5")[0]); ok || (*Table)(nil).Contains(addrs("198.18.0.5")[0]) {
		t.Error("a nil table has a name")
	}
}

// The IPv4 addresses of a run begin at any place, and go around.
func TestFirst(t *testing.T) {
	t.Parallel()
	table := New(Pool{V4: netip.MustParsePrefix("198.18.0.0/29"), First: 6}, nil)
	for _, want := range addrs("198.18.0.7", "198.18.0.1", "198.18.0.2", "198.18.0.3") {
		name := want.String()
		a, _ := assign(t, table, name)
		if got, _ := table.Name(want); a != want || got != name {
			t.Errorf("%s: has %s, and %s stands for %q", name, a, want, got)
		}
	}
	for _, a := range addrs("198.18.0.6", "198.18.0.4", "198.18.0.5") {
		if name, ok := table.Name(a); ok {
			t.Errorf("%s stands for %q", a, name)
		}
	}
}

// Where the addresses are exhausted, the name that has been idle longest gives its own away, unless
// it has flows.
func TestExhausted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := New(Pool{V4: netip.MustParsePrefix("198.18.0.0/29"), V6: pool.V6}, nil)
		var all []netip.Addr
		for i := range 7 {
			v4, _ := assign(t, table, fmt.Sprint(i), "203.0.113.1")
			all = append(all, v4)
			time.Sleep(time.Second)
		}
		if _, err := table.Assign("more", V4, nil, time.Now()); !errors.Is(err, errExhausted) {
			t.Errorf("with all in use: %v", err)
		}
		if !table.Hold(all[0]) {
			t.Fatal("no name to hold")
		}
		time.Sleep(idle)
		if _, err := table.Assign("more", V4, nil, time.Now()); !errors.Is(err, errExhausted) {
			t.Errorf("before the TTL is over: %v", err)
		}
		time.Sleep(time.Hour)
		table.Datagram(all[1], func(netip.Addr) bool { return true })
		v4, _ := assign(t, table, "new", "203.0.113.2")
		if v4 != all[2] {
			t.Errorf("the new name has %s, want %s", v4, all[2])
		}
		if name, _ := table.Name(all[2]); name != "new" {
			t.Errorf("%s stands for %q", all[2], name)
		}
		if s := table.Stats(); s.Names != 7 || s.Evicted != 1 {
			t.Errorf("%+v", s)
		}
		table.Release(all[0])
		time.Sleep(time.Hour)
		for i := range 7 {
			assign(t, table, fmt.Sprint("other", i), "203.0.113.3")
		}
		if name, _ := table.Name(all[0]); name[:5] != "other" {
			t.Errorf("%s stands for %q", all[0], name)
		}
	})
}

// The addresses to dial alternate between the families, that of the virtual address first.
func TestReal(t *testing.T) {
	t.Parallel()
	table := New(pool, nil)
	v4, v6 := assign(t, table, "www.example.com", "2001:db8::1", "203.0.113.1", "2001:db8::2", "203.0.113.2", "203.0.113.3")
	for a, want := range map[netip.Addr][]netip.Addr{
		v4: addrs("203.0.113.1", "2001:db8::1", "203.0.113.2", "2001:db8::2", "203.0.113.3"),
		v6: addrs("2001:db8::1", "203.0.113.1", "2001:db8::2", "203.0.113.2", "203.0.113.3"),
	} {
		if got := table.Real(a); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
	}
}

// Addresses that are out of date are renewed before a connection is dialled.
func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var table *Table
		renewed := 0
		table = New(pool, func(name string, done func(...Family)) {
			renewed++
			go func() {
				time.Sleep(time.Second)
				assign(t, table, name, "203.0.113.9")
				done(V4, V6)
			}()
		})
		v4, _ := assignUntil(t, table, "www.example.com", time.Now().Add(time.Minute), "203.0.113.1")
		await := func() []netip.Addr {
			done := make(chan struct{})
			table.Await(v4, func() { close(done) })
			<-done
			return table.Real(v4)
		}
		if got := await(); renewed != 0 || !slices.Equal(got, addrs("203.0.113.1")) {
			t.Errorf("at first: %v, renewed %d times", got, renewed)
		}
		time.Sleep(time.Minute + 1)
		if got := await(); renewed != 1 || !slices.Equal(got, addrs("203.0.113.9")) {
			t.Errorf("after the TTL: %v, renewed %d times", got, renewed)
		}
	})
}

// A connection waits for the renewal in its own family alone.
func TestAwaitFamily(t *testing.T) {
	t.Parallel()
	var over func(...Family)
	table := New(pool, func(_ string, done func(...Family)) { over = done })
	past := time.Now().Add(-time.Second)
	v4, v6 := assignUntil(t, table, "www.example.com", past, "203.0.113.1", "2001:db8::1")
	var called [2]int
	awaitBoth := func() {
		table.Await(v4, func() { called[V4]++ })
		table.Await(v6, func() { called[V6]++ })
	}
	check := func(when string, want [2]int) {
		t.Helper()
		if called != want {
			t.Errorf("%s: %d calls, want %d", when, called, want)
		}
	}
	awaitBoth()
	check("at first", [2]int{})
	table.Update("www.example.com", V4, addrs("203.0.113.2"), time.Now().Add(time.Hour))
	over(V4)
	check("with IPv4", [2]int{1, 0})
	awaitBoth()
	check("while IPv6 is renewed", [2]int{2, 0})
	if got := table.Real(v4); !slices.Equal(got, addrs("203.0.113.2", "2001:db8::1")) {
		t.Errorf("real addresses %v", got)
	}
	table.Update("www.example.com", V6, nil, time.Now().Add(time.Hour))
	over(V6)
	check("with both", [2]int{2, 2})
	if got := table.Real(v6); !slices.Equal(got, addrs("203.0.113.2")) {
		t.Errorf("real addresses %v", got)
	}
}

// However many connections and datagrams come while addresses are out of date, one renewal goes on.
func TestOneRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var over []func(...Family)
		table := New(pool, func(_ string, done func(...Family)) { over = append(over, done) })
		v4, _ := assignUntil(t, table, "www.example.com", time.Now().Add(time.Minute), "203.0.113.1")
		time.Sleep(time.Minute + 1)
		called := 0
		for range 100 {
			if _, ok := table.Datagram(v4, func(netip.Addr) bool { return true }); !ok {
				t.Fatal("a datagram goes nowhere")
			}
			table.Await(v4, func() { called++ })
		}
		if len(over) != 1 || called != 0 {
			t.Fatalf("%d renewals, and %d calls before their end", len(over), called)
		}
		for _, f := range []Family{V4, V6} {
			table.Postpone("www.example.com", f, time.Now().Add(time.Second)) // the nameservers fail
		}
		over[0](V4, V6)
		if called != 100 {
			t.Errorf("%d calls, want 100", called)
		}
		time.Sleep(time.Second + 1)
		table.Datagram(v4, func(netip.Addr) bool { return true })
		if len(over) != 2 {
			t.Errorf("%d renewals, want another", len(over))
		}
	})
}

// Datagrams stay with a real address that answers, and leave one that does not.
func TestDatagram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := New(pool, nil)
		v4, v6 := assign(t, table, "www.example.com", "203.0.113.1", "203.0.113.2", "203.0.113.3", "2001:db8::1")
		denied := addrs("203.0.113.2")[0]
		send := func(a netip.Addr, want string) {
			t.Helper()
			got, ok := table.Datagram(a, func(r netip.Addr) bool { return r != denied })
			if !ok || got.String() != want {
				t.Fatalf("a datagram goes to %s, want %s", got, want)
			}
		}
		send(v4, "203.0.113.1")
		send(v4, "203.0.113.1")
		time.Sleep(soon)
		send(v4, "203.0.113.3") // the first has not answered, and the second is denied
		table.Heard(v4, addrs("203.0.113.3")[0])
		assign(t, table, "www.example.com", "203.0.113.4", "203.0.113.5")
		time.Sleep(time.Minute)
		send(v4, "203.0.113.3") // as long as it flows
		table.Unreachable(v4, addrs("203.0.113.3")[0])
		send(v4, "203.0.113.4")
		time.Sleep(idle)
		send(v4, "203.0.113.4")
		if got, ok := table.Datagram(v6, func(netip.Addr) bool { return true }); ok {
			t.Errorf("a datagram goes to %s, which the name no longer has", got)
		}
	})
}
