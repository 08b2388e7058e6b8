package names

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// filled returns a table as of a busy gateway, and addresses in it.
func filled(c func(i int) Client) (t *Table, addrs []netip.Addr) {
	t = New(Limit)
	for i := range 10_000 {
		a := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
		name := fmt.Sprintf("host%d.example.com", i)
		t.Learn(c(i), response(name+" A", name+" 3600 A "+a.String()), t.epoch)
		addrs = append(addrs, a)
	}
	return t, addrs
}

// BenchmarkBegin is the cost that each new connection pays on the packet path.
func BenchmarkBegin(b *testing.B) {
	for _, bb := range []struct {
		name           string
		learn, connect Client
	}{
		{"machine", alice, alice},
		{"user", User(1000), User(1000)},
		{"resolver", AllUsers(), User(1000)},
		{"unknown", alice, bob},
	} {
		b.Run(bb.name, func(b *testing.B) {
			t, addrs := filled(func(int) Client { return bb.learn })
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, u := t.Begin(bb.connect, addrs[i%len(addrs)], t.epoch)
				t.End(u, t.epoch)
			}
		})
	}
}

// BenchmarkBeginBeside is the same while other goroutines do that too.
func BenchmarkBeginBeside(b *testing.B) {
	t, addrs := filled(func(int) Client { return alice })
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			_, u := t.Begin(alice, addrs[i%len(addrs)], t.epoch)
			t.End(u, t.epoch)
		}
	})
}

// BenchmarkLearn is the cost of a response with four addresses behind an alias.
func BenchmarkLearn(b *testing.B) {
	t, _ := filled(func(int) Client { return alice })
	d := response("www.example.com A", "www.example.com 60 CNAME cdn.example.net",
		"cdn.example.net 60 A 198.51.100.1",
		"cdn.example.net 60 A 198.51.100.2", "cdn.example.net 60 A 198.51.100.3", "cdn.example.net 60 A 198.51.100.4")
	b.ReportAllocs()
	now := t.epoch
	for b.Loop() {
		now = now.Add(time.Millisecond)
		t.Learn(bob, d, now)
	}
}
