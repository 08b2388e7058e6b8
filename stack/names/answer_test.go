package names

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"syntap/tun/flow"
)

// response makes a DNS response of lines "NAME TTL TYPE DATA", the first of which is the question,
// "NAME TYPE".
func response(question string, answers ...string) *flow.DNS {
	name, typ, _ := strings.Cut(question, " ")
	d := &flow.DNS{Response: true, Queries: []flow.Question{{Name: name, Type: typeOf(typ)}}}
	for _, line := range answers {
		f := strings.SplitN(line, " ", 4)
		ttl, err := strconv.ParseUint(f[1], 10, 32)
		if err != nil {
			panic(err)
		}
		d.Answers = append(d.Answers, flow.Record{
			Name: f[0], TTL: uint32(ttl), Type: typeOf(f[2]), Data: f[3],
		})
	}
	return d
}

func typeOf(mnemonic string) flow.RRType {
	for t := range flow.RRType(300) {
		if t.String() == mnemonic {
			return t
		}
	}
	panic(mnemonic)
}

func TestRead(t *testing.T) {
	t.Parallel()
	chain := make([]string, 0, 2*maxChain)
	for i := range 2 * maxChain {
		chain = append(chain, "n"+strconv.Itoa(i)+" 60 CNAME n"+strconv.Itoa(i+1))
	}
	tests := []struct {
		name string
		d    *flow.DNS
		want string // lines "NAME: ADDRESS or TARGET SECONDS"
	}{
		{"one address", response("a.example A", "a.example 60 A 192.0.2.1"), "a.example: 192.0.2.1 60"},
		{
			"many addresses of both families",
			response("a.example ANY", "a.example 60 A 192.0.2.1", "a.example 5 A 192.0.2.2",
				"a.example 7 AAAA 2001:db8::1"),
			"a.example: 192.0.2.1 60, 192.0.2.2 5, 2001:db8::1 7",
		},
		{
			"aliases in any order, with the smallest TTL",
			response("a.example A", "c.example 60 A 192.0.2.1", "b.example 9 CNAME c.example",
				"a.example 20 CNAME b.example"),
			"a.example: 192.0.2.1 9",
		},
		{
			"DNAME, with the CNAME that a server makes of it (RFC 6672 §3.1)",
			response("a.old.example A", "old.example 60 DNAME new.example",
				"a.old.example 0 CNAME a.new.example", "a.new.example 60 A 192.0.2.1"),
			"a.old.example: 192.0.2.1 0",
		},
		{
			"addresses of another name than the one asked for",
			response("a.example A", "bank.example 60 A 192.0.2.1", "a.example 60 A 192.0.2.2"),
			"a.example: 192.0.2.2 60",
		},
		{"a circle", response("a.example A", "a.example 60 CNAME b.example",
			"b.example 60 CNAME a.example"), ""},
		{"a chain that is too long", response("n0 A", append(chain, "n32 60 A 192.0.2.1")...), "n0: n16 60"},
		{
			"an alias alone: the resolver asks for its target next",
			response("a.example A", "a.example 60 CNAME b.example"),
			"a.example: b.example 60",
		},
		{"an alias without IPv6", response("a.example AAAA", "a.example 60 CNAME b.example"), ""},
		{
			"hints",
			response("a.example HTTPS",
				`a.example 60 HTTPS 1 . alpn=h3,h2 ipv4hint=192.0.2.1,192.0.2.2 ech="AAA=" ipv6hint="2001:db8::1"`),
			"a.example: 192.0.2.1 60, 192.0.2.2 60, 2001:db8::1 60",
		},
		{
			"a service by its port, elsewhere",
			response("_8443._https.a.example HTTPS",
				"_8443._https.a.example 60 HTTPS 1 b.example ipv4hint=192.0.2.1"),
			"a.example: b.example 60, 192.0.2.1 60",
		},
		{
			"service alias", response("a.example HTTPS", "a.example 60 HTTPS 0 b.example"),
			"a.example: b.example 60",
		},
		{
			"hints behind an alias",
			response("a.example SVCB", "a.example 60 CNAME b.example",
				"b.example 30 SVCB 1 . ipv4hint=192.0.2.1"),
			"a.example: 192.0.2.1 30",
		},
		{
			"parameters that are none",
			response("a.example HTTPS", "a.example 60 HTTPS 1", "a.example 60 HTTPS ",
				"a.example 60 HTTPS 1 . ipv4hint ipv4hint= ipv6hint=,x,192.0.2.300"),
			"",
		},
		{"no address at all", response("a.example A", "a.example 60 A 0.0.0.0",
			"a.example 60 AAAA ::", "a.example 60 A "), ""},
		{"an address mapped into IPv6", response("a.example AAAA",
			"a.example 60 AAAA ::ffff:192.0.2.1"), "a.example: 192.0.2.1 60"},
		{"texts", response("a.example TXT", "a.example 60 TXT 192.0.2.1"), ""},
		{
			"TTL of a year", response("a.example A", "a.example 31536000 A 192.0.2.1"),
			"a.example: 192.0.2.1 86400",
		},
		{"TTL with a sign (RFC 2181 §8)", response("a.example A",
			"a.example 4294967295 A 192.0.2.1"), "a.example: 192.0.2.1 0"},
		{"the root", response(". A", ". 60 A 192.0.2.1"), ""},
		{"no answer", response("a.example A"), ""},
		{"an error", func() *flow.DNS {
			d := response("a.example A", "a.example 60 A 192.0.2.1")
			d.RCode = 3
			return d
		}(), ""},
		{"a query", func() *flow.DNS {
			d := response("a.example A", "a.example 60 A 192.0.2.1")
			d.Response = false
			return d
		}(), ""},
		{"two questions", func() *flow.DNS {
			d := response("a.example A", "a.example 60 A 192.0.2.1")
			d.Queries = append(d.Queries, flow.Question{Name: "b.example", Type: typeA})
			return d
		}(), ""},
	}
	for _, tt := range tests {
		a, ok := read(tt.d)
		var got string
		if ok {
			var all []string
			for _, f := range a.found {
				to := f.target
				if to == "" {
					to = f.addr.String()
				}
				all = append(all, to+" "+strconv.Itoa(int(f.ttl/time.Second)))
			}
			got = a.name + ": " + strings.Join(all, ", ")
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestReadBound(t *testing.T) {
	t.Parallel()
	d := response("a.example A")
	addr := netip.MustParseAddr("192.0.2.0")
	for range 2 * maxFound {
		d.Answers = append(d.Answers, flow.Record{Name: "a.example", Type: typeA, Data: addr.String()})
		addr = addr.Next()
	}
	service := flow.Record{Name: "a.example", Type: typeHTTPS, Data: "1 b.example ipv4hint=192.0.2.1"}
	d.Answers = append(d.Answers, service)
	if a, _ := read(d); len(a.found) != maxFound {
		t.Errorf("read takes %d addresses, want %d", len(a.found), maxFound)
	}
}

func TestConflict(t *testing.T) {
	t.Parallel()
	at := func(a string) flow.Key {
		return flow.Key{Server: netip.AddrPortFrom(netip.MustParseAddr(a), 80)}
	}
	hello := func(sni string) *flow.Hello { return &flow.Hello{SNI: sni} }
	known := Names{Name: "www.example.com", Others: []string{"img.example.com", "api.default.svc.cluster.local"}}
	for _, tt := range []struct {
		name  string
		names Names
		flow  flow.Flow
		want  bool
	}{
		{"the same", known, flow.Flow{Hello: hello("www.example.com"), HTTPHost: "www.example.com"}, false},
		{"one of the others", known, flow.Flow{Hello: hello("img.example.com")}, false},
		{"another one", known, flow.Flow{Hello: hello("example.com")}, true},
		{"a longer one", known, flow.Flow{Hello: hello("www.example.com.evil.example")}, true},
		{"no name known", Names{}, flow.Flow{Hello: hello("www.example.net"), HTTPHost: "www.example.net"}, false},
		{"no name said", known, flow.Flow{Hello: hello("")}, false},
		{"nothing said", known, flow.Flow{}, false},
		{"beside ECH", known, flow.Flow{Hello: &flow.Hello{SNI: "front.example", ECH: true}}, false},
		{"relative", known, flow.Flow{HTTPHost: "www"}, false},
		{"relative to a search list", known, flow.Flow{Hello: hello("api.default")}, false},
		{"half a label", known, flow.Flow{HTTPHost: "ww"}, true},
		{"Host", known, flow.Flow{HTTPHost: "example.com"}, true},
		{"Host is another address", known, flow.Flow{Key: at("192.0.2.2"), HTTPHost: "192.0.2.1"}, true},
		{"Host is the address", known, flow.Flow{Key: at("192.0.2.1"), HTTPHost: "192.0.2.1"}, false},
		{"Host is the IPv6 address", known, flow.Flow{Key: at("2001:db8::1"), HTTPHost: "[2001:db8::1]"}, false},
		{"Host beside the right SNI", known, flow.Flow{Hello: hello("www.example.com"), HTTPHost: "evil.example"}, true},
		{"QUIC", known, flow.Flow{Datagram: &flow.Datagram{QUIC: &flow.QUIC{Hello: hello("evil.example")}}}, true},
		{"QUIC not read", known, flow.Flow{Datagram: &flow.Datagram{QUIC: &flow.QUIC{}}}, false},
		{"a datagram", known, flow.Flow{Datagram: &flow.Datagram{}}, false},
	} {
		if got := Conflict(tt.names, &tt.flow); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	a := Machine(netip.MustParseAddr("2001:db8::1"))
	for _, tt := range []struct {
		b    Client
		same bool
	}{
		{Machine(netip.MustParseAddr("2001:db8::2")), true},
		{Machine(netip.MustParseAddr("2001:db8:0:1::1")), false},
		{Machine(netip.MustParseAddr("192.0.2.1")), false},
		{User(0), false},
		{AllUsers(), false},
	} {
		if same := a.source() == tt.b.source(); same != tt.same {
			t.Errorf("%v and %v share a bound: %t, want %t", a, tt.b, same, tt.same)
		}
	}
	if alice.source() == bob.source() {
		t.Error("two machines share a bound")
	}
}
