package resolver

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/virtual"
	"syntap/tun/tuntest"
)

// startResolver starts a resolver that asks z.
func startResolver(t *testing.T, z *zone, o Options) *Resolver {
	t.Helper()
	o.Pool = virtual.Pool{V4: netip.MustParsePrefix("198.18.0.0/15"), V6: netip.MustParsePrefix("fd00:1:2:3::/64")}
	o.Servers = func() []netip.AddrPort { return []netip.AddrPort{z.addr} }
	o.Dial = dial
	r := New(o)
	r.turn, r.timeout = tuntest.Patience, tuntest.Patience // asks once, also while this machine stalls
	t.Cleanup(r.Close)
	return r
}

func dial(ctx context.Context, network string, server netip.AddrPort) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, server.String())
}

// ask returns the response to a question.
func ask(t *testing.T, r *Resolver, name string, typ dnsmessage.Type) dnsmessage.Message {
	t.Helper()
	return exchangeWith(t, r, pack(t, name, typ, false))
}

func pack(t testing.TB, name string, typ dnsmessage.Type, dnssec bool) []byte {
	t.Helper()
	opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
	if err := opt.Header.SetEDNS0(4096, 0, dnssec); err != nil {
		t.Fatal(err)
	}
	m := dnsmessage.Message{
		Header:      dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions:   []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: 1}},
		Additionals: []dnsmessage.Resource{opt},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func exchangeWith(t *testing.T, r *Resolver, q []byte) (m dnsmessage.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), tuntest.Patience)
	defer cancel()
	if err := m.Unpack(r.Answer(ctx, q, true)); err != nil {
		t.Fatal(err)
	}
	if !m.Response || m.ID != 4711 || m.AuthenticData {
		t.Errorf("header %+v", m.Header)
	}
	return m
}

// edes returns the codes of extended errors in a response.
func edes(m *dnsmessage.Message) (all []int) {
	for _, r := range m.Additionals {
		if opt, ok := r.Body.(*dnsmessage.OPTResource); ok {
			for _, o := range opt.Options {
				if o.Code == optionEDE {
					all = append(all, int(binary.BigEndian.Uint16(o.Data)))
				}
			}
		}
	}
	return all
}

func addressOf(t *testing.T, m dnsmessage.Message) netip.Addr {
	t.Helper()
	all, _ := addressesIn(&m)
	if len(all) != 1 || len(m.Answers) != 1 {
		t.Fatalf("answers %v", m.Answers)
	}
	return all[0]
}

// A name that exists gets an address of each family that it has, whatever case and type is asked
// first; PTR leads back.
func TestHosts(t *testing.T) {
	t.Parallel()
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{
		"both.example.com": {a4("203.0.113.1"), a4("203.0.113.2"), a6("2001:db8::1")},
		"v6.example.com":   {a6("2001:db8::6")},
		"text.example.com": {&dnsmessage.TXTResource{TXT: []string{"hello"}}},
	})
	r := startResolver(t, z, Options{})
	first := addressOf(t, ask(t, r, "both.example.com.", dnsmessage.TypeA))
	again := addressOf(t, ask(t, r, "BOTH.Example.COM.", dnsmessage.TypeA))
	v6 := addressOf(t, ask(t, r, "both.example.com.", dnsmessage.TypeAAAA))
	if first != again || !r.Table().Contains(first) || !r.Table().Contains(v6) || !v6.Is6() {
		t.Errorf("%s, %s, %s", first, again, v6)
	}
	if n := z.times("both.example.com A"); n != 1 {
		t.Errorf("asked %d times for one name", n)
	}
	want := []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("203.0.113.2")}
	if got := r.Table().Real(first); !slices.Equal(got, want) {
		t.Errorf("real addresses %v, want %v", got, want)
	}
	if m := ask(t, r, "v6.example.com.", dnsmessage.TypeA); m.RCode != 0 || len(m.Answers) != 0 {
		t.Errorf("A of a name without IPv4: %v", m.GoString())
	}
	other := addressOf(t, ask(t, r, "v6.example.com.", dnsmessage.TypeAAAA))
	if other == v6 {
		t.Errorf("two names have %s", v6)
	}
	for _, name := range []string{"no.example.com.", "a\\b.example.com."} {
		if m := ask(t, r, name, dnsmessage.TypeA); m.RCode != dnsmessage.RCodeNameError || len(m.Answers) != 0 {
			t.Errorf("%s: %v", name, m.GoString())
		}
	}
	if m := ask(t, r, "text.example.com.", dnsmessage.TypeAAAA); m.RCode != 0 || len(m.Answers) != 0 {
		t.Errorf("AAAA of a name without addresses: %v", m.GoString())
	}
	b := first.As4()
	backwards := netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}).String()
	m := ask(t, r, backwards+".in-addr.arpa.", dnsmessage.TypePTR)
	if len(m.Answers) != 1 || m.Answers[0].Body.(*dnsmessage.PTRResource).PTR.String() != "both.example.com." {
		t.Errorf("PTR: %v", m.GoString())
	}
	m = ask(t, r, nibbles(v6), dnsmessage.TypePTR)
	if len(m.Answers) != 1 || m.Answers[0].Body.(*dnsmessage.PTRResource).PTR.String() != "both.example.com." {
		t.Errorf("PTR of IPv6: %v", m.GoString())
	}
	if m := ask(t, r, "77.77.19.198.in-addr.arpa.", dnsmessage.TypePTR); m.RCode != dnsmessage.RCodeNameError {
		t.Errorf("PTR of an address without a name: %v", m.GoString())
	}
	if z.times("77.77.19.198.in-addr.arpa PTR") != 0 {
		t.Error("PTR of a virtual address left")
	}
}

func nibbles(a netip.Addr) string {
	var b strings.Builder
	for _, c := range slices.Backward(a.AsSlice()) {
		const digits = "0123456789abcdef"
		b.WriteString(string([]byte{digits[c&15], '.', digits[c>>4], '.'}))
	}
	return b.String() + "ip6.arpa."
}

// What has no addresses passes, unless it could hold some or cannot be copied.
func TestPass(t *testing.T) {
	t.Parallel()
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{
		"some.example.com": {
			a4("203.0.113.1"), &dnsmessage.TXTResource{TXT: []string{"hello"}},
			&dnsmessage.MXResource{Pref: 1, MX: dnsmessage.MustNewName("mx.example.com.")},
			&dnsmessage.UnknownResource{Type: 257, Data: []byte("\x00\x05issueca")},
		},
	})
	r := startResolver(t, z, Options{})
	for _, typ := range []dnsmessage.Type{dnsmessage.TypeTXT, dnsmessage.TypeMX, 257} {
		if m := ask(t, r, "some.example.com.", typ); len(m.Answers) != 1 || m.Answers[0].Header.Type != typ {
			t.Errorf("%v: %v", typ, m.GoString())
		}
	}
	for _, typ := range []dnsmessage.Type{dnsmessage.TypeALL, 252, 17} {
		if m := ask(t, r, "some.example.com.", typ); m.RCode != dnsmessage.RCodeNotImplemented {
			t.Errorf("%v: %v", typ, m.GoString())
		}
	}
}

// HTTPS records lead to the name itself by its virtual addresses, and keep their other keys.
func TestServices(t *testing.T) {
	t.Parallel()
	service := func(priority uint16, target string, params ...dnsmessage.SVCParam) dnsmessage.ResourceBody {
		return &dnsmessage.HTTPSResource{SVCBResource: dnsmessage.SVCBResource{
			Priority: priority, Target: dnsmessage.MustNewName(target), Params: params,
		}}
	}
	param := func(key dnsmessage.SVCParamKey, value string) dnsmessage.SVCParam {
		return dnsmessage.SVCParam{Key: key, Value: []byte(value)}
	}
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{"www.example.com": {
		a4("203.0.113.1"),
		service(0, "cdn.example.net."), service(1, "cdn.example.net."),
		service(2, ".", param(1, "\x02h3"), param(4, "\xcb\x00\x71\x01\xcb\x00\x71\x02"), param(5, "ech"),
			param(6, strings.Repeat("x", 16))),
		service(3, ".", param(0, "\x00\x06"), param(6, strings.Repeat("x", 16))),
	}})
	r := startResolver(t, z, Options{})
	m := ask(t, r, "www.example.com.", dnsmessage.TypeHTTPS)
	if len(m.Answers) != 1 {
		t.Fatal(m.GoString())
	}
	s := m.Answers[0].Body.(*dnsmessage.HTTPSResource)
	v4 := addressOf(t, ask(t, r, "www.example.com.", dnsmessage.TypeA))
	hint, _ := s.GetParam(dnsmessage.SVCParamIPv4Hint)
	ech, _ := s.GetParam(dnsmessage.SVCParamECH)
	_, v6 := s.GetParam(dnsmessage.SVCParamIPv6Hint)
	if s.Priority != 2 || !slices.Equal(hint, v4.AsSlice()) || string(ech) != "ech" || v6 {
		t.Errorf("%v", s.GoString())
	}
	r = startResolver(t, z, Options{NoECH: true})
	if m = ask(t, r, "www.example.com.", dnsmessage.TypeHTTPS); len(m.Answers) != 1 {
		t.Fatal(m.GoString())
	}
	s = m.Answers[0].Body.(*dnsmessage.HTTPSResource)
	if ech, has := s.GetParam(dnsmessage.SVCParamECH); has {
		t.Errorf("the keys %q are given along", ech)
	}
}

// Answers that are too long for UDP come by TCP, on both sides.
func TestTruncated(t *testing.T) {
	t.Parallel()
	long := &dnsmessage.TXTResource{}
	for range 8 {
		long.TXT = append(long.TXT, strings.Repeat("x", 250))
	}
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{"long.example.com": {long}})
	z.change(func() { z.cut = true })
	r := startResolver(t, z, Options{})
	udp, tcp, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(r, udp, tcp)
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { s.Run(ctx) })
	defer serving.Wait()
	defer cancel()
	q := pack(t, "long.example.com.", dnsmessage.TypeTXT, false)
	for _, network := range []string{"udp", "tcp"} {
		m, err := r.exchange(t.Context(), network, s.Addr(), q)
		if err != nil {
			t.Fatal(err)
		}
		if tcp := network == "tcp"; m.Truncated == tcp || (len(m.Answers) == 1) != tcp {
			t.Errorf("%s: %v", network, m.GoString())
		}
	}
}

// A client that sets DO learns that the address is not the name's own.
func TestForged(t *testing.T) {
	t.Parallel()
	z := serveZone(t, map[string][]dnsmessage.ResourceBody{"www.example.com": {a4("203.0.113.1")}})
	r := startResolver(t, z, Options{})
	m := exchangeWith(t, r, pack(t, "www.example.com.", dnsmessage.TypeA, true))
	if !slices.Equal(edes(&m), []int{edeForged}) {
		t.Error(m.GoString())
	}
}

// A tunnel has few questions; programs have as many as they like.
func TestBudget(t *testing.T) {
	t.Parallel()
	z := serveZone(t, nil)
	var mu sync.Mutex
	var exceeded []string
	r := startResolver(t, z, Options{Exceeded: func(domain string, asked int) {
		mu.Lock()
		defer mu.Unlock()
		if asked < burst {
			t.Errorf("%s is refused after %d questions", domain, asked)
		}
		exceeded = append(exceeded, domain)
	}})
	refused := func(name string, typ dnsmessage.Type) bool {
		m := ask(t, r, name, typ)
		return m.RCode == dnsmessage.RCodeRefused
	}
	for i := range 3 * burst {
		if refused("host"+strings.Repeat("x", i%20)+".example.co.uk.", dnsmessage.TypeA) {
			t.Fatal("an ordinary name is refused")
		}
	}
	got := 0
	for range 3 * burst {
		if !refused(strings.Repeat("q", 60)+".t.example.co.uk.", dnsmessage.TypeA) {
			got++
		}
	}
	if got < burst || got > 2*burst {
		t.Errorf("%d questions of a tunnel pass, want about %d", got, burst)
	}
	if refused("x.other.co.uk.", dnsmessage.TypeTXT) {
		t.Error("another domain's question is refused")
	}
	if !slices.Equal(exceeded, []string{"example.co.uk"}) {
		t.Errorf("exceeded: %v", exceeded)
	}
}

// FuzzAnswer has queries and answers of any content.
func FuzzAnswer(f *testing.F) {
	f.Add(pack(f, "www.example.com.", dnsmessage.TypeA, true), []byte("\x00\x00\x81\x80"))
	f.Add(pack(f, "1.0.18.198.in-addr.arpa.", dnsmessage.TypePTR, false), []byte{})
	f.Add([]byte("\x00\x01\x28\x00\x00\x00\x00\x00\x00\x00\x00\x00"), []byte{})
	r := New(Options{
		Pool:    virtual.Pool{V4: netip.MustParsePrefix("198.18.0.0/15")},
		Servers: func() []netip.AddrPort { return nil },
		Dial:    dial,
	})
	f.Cleanup(r.Close)
	f.Fuzz(func(t *testing.T, message, answer []byte) {
		b := r.Answer(t.Context(), message, false)
		if b != nil && (len(b) < headerLen || len(b) > payloadSize || b[2]&0x80 == 0 || b[0] != message[0]) {
			t.Fatalf("%x answers %x", b, message)
		}
		if end := questionEnd(message); end > 0 && len(answer) >= headerLen {
			reply := slices.Concat(message[:2], answer[2:headerLen], message[headerLen:end], answer[headerLen:])
			reply[2] |= 0x80
			if m := answerTo(message[:end], reply); m != nil {
				_, _ = addressesIn(m)
				for i := range m.Answers {
					if s := serviceOf(m.Answers[i].Body); s != nil {
						new(Resolver).hint(s, [2]netip.Addr{})
					}
				}
			}
		}
	})
}
