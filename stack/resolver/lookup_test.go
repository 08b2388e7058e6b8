package resolver

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/virtual"
	"syntap/tun/tuntest"
)

// A nameserver that fails is no reason to forget a name; one that has lost its addresses is dialled
// no more.
func TestRenewed(t *testing.T) {
	t.Parallel()
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{"www.example.com": {a4("203.0.113.1")}})
	r := startResolver(t, z, Options{})
	v4 := addressOf(t, ask(t, r, "www.example.com.", dnsmessage.TypeA))
	renew := func() []netip.Addr {
		r.settle("www.example.com")
		for _, f := range []virtual.Family{virtual.V4, virtual.V6} {
			r.table.Postpone("www.example.com", f, time.Now().Add(-time.Second))
		}
		done := make(chan struct{})
		r.Table().Await(v4, func() { close(done) })
		select {
		case <-done:
		case <-time.After(tuntest.Patience):
			t.Fatal("not renewed")
		}
		return r.Table().Real(v4)
	}
	z.change(func() { z.names["www.example.com"] = []dnsmessage.ResourceBody{a4("203.0.113.2")} })
	if got := renew(); len(got) != 1 || got[0].String() != "203.0.113.2" {
		t.Errorf("real addresses %v", got)
	}
	z.change(func() { delete(z.names, "www.example.com") })
	if got := renew(); len(got) != 0 {
		t.Errorf("real addresses %v", got)
	}
	z.change(func() { z.names["www.example.com"] = []dnsmessage.ResourceBody{a4("203.0.113.3")} })
	if got := renew(); len(got) != 1 || got[0].String() != "203.0.113.3" {
		t.Errorf("real addresses %v", got)
	}
}

// settle waits for the lookup of a name that goes on: another would share it.
func (r *Resolver) settle(name string) {
	r.cache.mu.Lock()
	l := r.cache.running[name]
	r.cache.mu.Unlock()
	if l != nil {
		<-l.known[virtual.V4]
		<-l.known[virtual.V6]
	}
}

// An answer without addresses of one family, beside an error of the other, says nothing of the
// name: clients learn of the error, and the addresses that are known stay.
func TestHalfAnswered(t *testing.T) {
	t.Parallel()
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{"www.example.com": {a4("203.0.113.1")}, "v4.example.com": {a4("203.0.113.4")}})
	r := startResolver(t, z, Options{})
	v4 := addressOf(t, ask(t, r, "www.example.com.", dnsmessage.TypeA))
	z.change(func() { z.fails = dnsmessage.TypeA })
	r.forget("www.example.com")
	if found := r.address(t.Context(), "www.example.com", virtual.V4); found.err == nil {
		t.Error("no error")
	}
	if got := r.Table().Real(v4); len(got) != 1 || got[0].String() != "203.0.113.1" {
		t.Errorf("real addresses %v", got)
	}
	for _, typ := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		if m := ask(t, r, "v4.example.com.", typ); m.RCode != dnsmessage.RCodeServerFailure {
			t.Errorf("%v: %v", typ, m.GoString())
		}
		if m := ask(t, r, "no.example.com.", typ); m.RCode != dnsmessage.RCodeNameError {
			t.Errorf("%v of a name that does not exist: %v", typ, m.GoString())
		}
	}
}

// forget has a name be asked for again.
func (r *Resolver) forget(name string) {
	r.settle(name)
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	delete(r.cache.results, name)
}

// TestMuteFamily has a nameserver that leaves the questions for one family without an answer, until
// later. Those for the other, and connections to its addresses, do not wait.
func TestMuteFamily(t *testing.T) {
	t.Parallel()
	const name = "both.example.com"
	for own, typ := range types {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			own, other := virtual.Family(own), virtual.V4+virtual.V6-virtual.Family(own)
			z := serveZone(t, map[string][]dnsmessage.ResourceBody{name: {
				a4("203.0.113.1"), a6("2001:db8::1"),
				&dnsmessage.HTTPSResource{SVCBResource: dnsmessage.SVCBResource{
					Priority: 1, Target: dnsmessage.MustNewName("."),
				}},
			}})
			r := startResolver(t, z, Options{})
			r.timeout = time.Hour
			for round, renewed := range []bool{false, true} {
				release := z.hold(types[other])
				a := addressOf(t, ask(t, r, name+".", typ))
				if m := ask(t, r, name+".", dnsmessage.TypeHTTPS); len(m.Answers) != 1 {
					t.Errorf("HTTPS: %v", m.GoString())
				}
				done := make(chan struct{})
				r.Table().Await(a, func() { close(done) })
				select {
				case <-done:
				case <-time.After(tuntest.Patience):
					t.Fatal("a connection waits")
				}
				if got := r.Table().Real(a); len(got) != 1+round || virtual.FamilyOf(got[0]) != own {
					t.Errorf("renewed %t: real addresses %v", renewed, got)
				}
				release()
				addressOf(t, ask(t, r, name+".", types[other]))
				if got := r.Table().Real(a); len(got) != 2 {
					t.Errorf("real addresses %v, want both", got)
				}
				r.forget(name)
				for f := range types {
					r.table.Postpone(name, virtual.Family(f), time.Now().Add(-time.Second))
				}
			}
		})
	}
}

// TestSlowNameserver: an answer that comes when the next nameserver has been asked counts.
func TestSlowNameserver(t *testing.T) {
	t.Parallel()
	const name = "www.example.com"
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{name: {a4("203.0.113.1")}})
	r := startResolver(t, z, Options{})
	r.turn, r.timeout = time.Millisecond, time.Hour
	release := z.hold(dnsmessage.TypeA)
	first := make(chan dnsmessage.Message)
	go func() { first <- ask(t, r, name+".", dnsmessage.TypeA) }()
	for deadline := time.Now().Add(tuntest.Patience); z.times(name+" A") < rounds; {
		if time.Now().After(deadline) {
			t.Fatal("it is not asked again")
		}
		time.Sleep(time.Millisecond)
	}
	release()
	addressOf(t, <-first)
	if n := z.times(name + " A"); n != rounds {
		t.Errorf("it is asked %d times, want %d", n, rounds)
	}
}

// TestNegativeTTL: a name that has no addresses may have some when the zone says.
func TestNegativeTTL(t *testing.T) {
	t.Parallel()
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{"v4.example.com": {a4("203.0.113.4")}})
	r := startResolver(t, z, Options{})
	for _, soa := range []uint32{0, 30} {
		z.change(func() { z.soa = soa })
		most := max(minTTL, time.Duration(soa)*time.Second)
		for _, name := range []string{"no.example.com", "v4.example.com"} {
			r.forget(name)
			found := r.address(t.Context(), name, virtual.V6)
			if left := time.Until(found.expires); found.err != nil || found.a.IsValid() || left > most {
				t.Errorf("%s: %v for %s, want at most %s", name, found.a, left, most)
			}
		}
	}
}

// A name with many addresses of one family keeps those of the other.
func TestManyAddresses(t *testing.T) {
	t.Parallel()
	all := []dnsmessage.ResourceBody{a6("2001:db8::1")}
	for i := range 200 {
		all = append(all, &dnsmessage.AResource{A: [4]byte{203, 0, 113, byte(i)}})
	}
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{"many.example.com": all})
	r := startResolver(t, z, Options{})
	ask(t, r, "many.example.com.", dnsmessage.TypeA) // which may be known later than the other
	v6 := addressOf(t, ask(t, r, "many.example.com.", dnsmessage.TypeAAAA))
	if got := r.Table().Real(v6); len(got) != maxReal+1 || got[0].String() != "2001:db8::1" {
		t.Errorf("real addresses %v", got)
	}
}
