package egress

import (
	"net/netip"
	"strings"
	"testing"

	"syntap/tun/flow"
	"syntap/tun/packet"
)

// target returns the rule of a TARGET.
func target(t *testing.T, s string, deny bool) Rule {
	t.Helper()
	r, err := ParseTarget(s)
	if err != nil {
		t.Fatalf("ParseTarget(%q): %v", s, err)
	}
	r.Deny, r.Place = deny, s
	return r
}

// rules returns the rules of targets; those that deny begin with "!".
func rules(t *testing.T, deny bool, targets ...string) *Rules {
	t.Helper()
	var all []Rule
	for _, s := range targets {
		s, isDenial := strings.CutPrefix(s, "!")
		all = append(all, target(t, s, isDenial))
	}
	return Compile(all, deny)
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"example.com", "example.com", true},
		{"EXAMPLE.com.", "example.com", true},
		{"example.com", "www.example.com", false},
		{"example.com", "example.com.evil.net", false},
		{"*.example.com", "www.example.com", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "notexample.com", false},
		{"*.example.com", `evil\.example.com`, false}, // two labels: "evil.example" and "com"
		{"*.example.com", `evil\\.example.com`, true},
		{"*.example.com", `evil\046example.com`, false},
		{"*.com", "example.com", true},
		{"bücher.example", "xn--bcher-kva.example", true},
		{"BÜCHER.example", "xn--bcher-kva.example", true},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", true},
		{"faß.example", "xn--fa-hia.example", true},
		{"*.bücher.example", "www.xn--bcher-kva.example", true},
		{"example。com。", "example.com", true},
		{"_sip._tcp.example.com", "_sip._tcp.example.com", true},
		{"localhost", "localhost", true},
		{"example.com", "", false},
	} {
		r := rules(t, true, tt.pattern)
		q := &Request{Name: tt.name, Server: netip.MustParseAddrPort("192.0.2.1:443")}
		if got := !r.Decide(q).Deny; got != tt.want {
			t.Errorf("%s allows %s: %t, want %t", tt.pattern, tt.name, got, tt.want)
		}
		if got := !r.DecideName(Question{Name: tt.name}).Deny; got != tt.want {
			t.Errorf("%s allows to ask for %s: %t, want %t", tt.pattern, tt.name, got, tt.want)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ target, want string }{
		{"pypi.org", "allow pypi.org"},
		{"pypi.org:443", "allow pypi.org, port 443"},
		{"*.pypi.org:80-90/tcp", "allow *.pypi.org, port 80-90, tcp"},
		{"192.0.2.1", "allow 192.0.2.1/32"},
		{"192.0.2.0/24:53/udp", "allow 192.0.2.0/24, port 53, udp"},
		{"192.0.2.1/icmp", "allow 192.0.2.1/32, icmp"},
		{"2001:db8::1", "allow 2001:db8::1/128"},
		{"2001:db8::/32", "allow 2001:db8::/32"},
		{"2001:db8::/32/udp", "allow 2001:db8::/32, udp"},
		{"[2001:db8::1]:443", "allow 2001:db8::1/128, port 443"},
		{"[2001:db8::/32]:1-2/tcp", "allow 2001:db8::/32, port 1-2, tcp"},
		{"0.0.0.0/0", "allow 0.0.0.0/0"},
	} {
		r := target(t, tt.target, false)
		if got := r.String(); got != tt.want {
			t.Errorf("%s means %q, want %q", tt.target, got, tt.want)
		}
	}
	for _, tt := range []struct{ target, want string }{
		{"", "is empty"},
		{"*", `has a "*" without a domain`},
		{"www.*.com", `has a "*" elsewhere`},
		{"a*.com", `has a "*" elsewhere`},
		{"*.192.0.2.1", "is an address"},
		{"a..b", "has an empty label"},
		{".example.com", "has an empty label"},
		{"exa mple.com", "has the character ' '"},
		{"http://example.com", "is a URL"},
		{strings.Repeat("a", 64) + ".com", "a label of 64 bytes"},
		{strings.Repeat("a.", 127) + "com", "has 257 bytes"},
		{"1.2.3", "ends in a number"},
		{"example.com:0", "neither a port"},
		{"example.com:65536", "neither a port"},
		{"example.com:9-8", "ends before it begins"},
		{"example.com:", "no port behind its colon"},
		{"example.com:https", "neither a port"},
		{"example.com/sctp", "is not one of tcp, udp, icmp"},
		{"192.0.2.1:8/icmp", "icmp has no ports"},
		{"192.0.2.1/24", "the prefix is 192.0.2.0/24"},
		{"192.0.2.0/33", "is neither an address nor a prefix"},
		{"fe80::1%eth0", "has a zone"},
		{"::ffff:192.0.2.1", "in the form of IPv6"},
		{"[192.0.2.1]:80", "has brackets"},
		{"[2001:db8::1]80", "not a port"},
		{"[2001:db8::1", "has brackets"},
		{"\x00.com", "has the character"},
	} {
		if r, err := ParseTarget(tt.target); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseTarget(%q) = %s, %v, want %q", tt.target, r.String(), err, tt.want)
		}
	}
}

// TestLiteral has only addresses and prefixes be exceptions to the addresses that are never
// dialled.
func TestLiteral(t *testing.T) {
	t.Parallel()
	r := rules(t, true, "good.example", "127.0.0.1", "!169.254.0.0/16", "!bad.example", "127.0.0.2", "169.254.1.1")
	for _, tt := range []struct {
		name, server  string
		literal, deny bool
	}{
		{"good.example", "198.51.100.1:80", false, false},
		{"good.example", "127.0.0.1:80", true, false}, // the second rule has it
		{"good.example", "127.0.0.2:80", true, false},
		{"good.example", "127.0.0.3:80", false, false},
		{"good.example", "169.254.1.1:80", false, false}, // the third rule denies it first
		{"", "127.0.0.1:80", true, false},
		{"", "[64:ff9b::7f00:1]:80", true, false},
		{"", "169.254.1.1:80", false, true},
		{"", "198.51.100.1:80", false, true},
	} {
		got := r.Decide(&Request{Name: tt.name, Server: netip.MustParseAddrPort(tt.server)})
		if got.Literal != tt.literal || got.Deny != tt.deny {
			t.Errorf("%s %s: literal %t, deny %t", tt.name, tt.server, got.Literal, got.Deny)
		}
	}
}

func TestDecideName(t *testing.T) {
	t.Parallel()
	const name = "www.example.com"
	for _, tt := range []struct {
		rules []string
		deny  bool // by default
		want  bool // whether it is denied
	}{
		{nil, false, false},
		{nil, true, true},
		{[]string{"!www.example.com"}, false, true},
		{[]string{"!www.example.com:80"}, false, false}, // another port may be allowed
		{[]string{"!www.example.com/udp"}, false, false},
		{[]string{"!*.example.com", "www.example.com"}, false, true},
		{[]string{"www.example.com", "!*.example.com"}, false, false},
		{[]string{"www.example.com:22"}, true, false},
		{[]string{"192.0.2.0/24"}, true, true}, // says nothing about names
		{[]string{"!192.0.2.0/24"}, false, false},
		{[]string{"0.0.0.0/0:443"}, true, false},
		{[]string{"!0.0.0.0/0"}, false, false},
	} {
		if got := rules(t, tt.deny, tt.rules...).DecideName(Question{Name: name}); got.Deny != tt.want {
			t.Errorf("%v: denied %t, want %t", tt.rules, got.Deny, tt.want)
		}
	}
	everyPort := Compile([]Rule{{Ports: []packet.PortRange{{First: 443, Last: 443}}}}, true)
	if everyPort.DecideName(Question{Name: name}).Deny {
		t.Error("a rule without name and address does not allow names")
	}
	user := Compile([]Rule{{Names: target(t, name, false).Names, UIDs: []UIDRange{{1000, 1000}}}}, true)
	for _, tt := range []struct {
		q    Question
		want bool
	}{
		{Question{Name: name, HasUID: true, UID: 1000}, false},
		{Question{Name: name, HasUID: true, UID: 1001}, true},
		{Question{Name: name}, true},
		{Question{Name: name, HasUID: true, UID: 53, ForAll: true}, false},
	} {
		if got := user.DecideName(tt.q); got.Deny != tt.want {
			t.Errorf("%+v: denied %t", tt.q, got.Deny)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	all := []Rule{
		{Protos: []flow.Proto{flow.ICMP}, Deny: true, Place: "egress.rules[0]"},
		{Ports: []packet.PortRange{{First: 25, Last: 25}}, Deny: true, Place: "egress.rules[1]", Reason: "no mail from here"},
		{Ports: []packet.PortRange{{First: 443, Last: 443}}, Place: "egress.rules[2]"},
	}
	r := Compile(all, true)
	tcp := func(port uint16) Request {
		return Request{Server: netip.AddrPortFrom(netip.IPv6Loopback(), port)}
	}
	denied := func(rule, reason string) flow.Decision {
		return flow.Decision{Deny: true, Rule: rule, Reason: reason}
	}
	for _, tt := range []struct {
		q    Request
		want flow.Decision
	}{
		{Request{Proto: flow.ICMP}, denied("egress.rules[0]", "egress.rules[0] forbids it")},
		{tcp(25), denied("egress.rules[1]", "no mail from here")},
		{tcp(443), flow.Decision{Rule: "egress.rules[2]"}},
		{tcp(80), denied("default", "no rule allows it")},
	} {
		if got := *r.Decide(&tt.q).Decision; got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.q.Server, got, tt.want)
		}
	}
}

func TestShadowed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules []string
		want  bool // whether the last is shadowed
	}{
		{[]string{"example.com", "example.com:443"}, true},
		{[]string{"example.com:443", "example.com"}, false},
		{[]string{"*.example.com", "!www.example.com"}, true},
		{[]string{"*.example.com", "*.www.example.com"}, true},
		{[]string{"*.example.com", "example.com"}, false},
		{[]string{"www.example.com", "*.example.com"}, false},
		{[]string{"10.0.0.0/8", "10.1.0.0/16:80/tcp"}, true},
		{[]string{"10.1.0.0/16", "10.0.0.0/8"}, false},
		{[]string{"10.0.0.0/8", "example.com"}, false},
		{[]string{"0.0.0.0/0", "!192.0.2.1"}, true},
		{[]string{"192.0.2.1:80-90", "192.0.2.1:85"}, true},
		{[]string{"192.0.2.1/tcp", "192.0.2.1/udp"}, false},
	} {
		got := rules(t, false, tt.rules...).Shadowed()
		if (len(got) == 1 && got[0] == Shadowed{len(tt.rules) - 1, 0}) != tt.want {
			t.Errorf("%v: %v", tt.rules, got)
		}
	}
}

// TestShadowedException has a rule that allows everything hide a denial of an address, but not an
// exception to the addresses that are never dialled.
func TestShadowedException(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"127.0.0.1": false, "!127.0.0.1": true, "example.com": true} {
		s, isDenial := strings.CutPrefix(text, "!")
		got := Compile([]Rule{{}, target(t, s, isDenial)}, false).Shadowed()
		if (len(got) == 1) != want {
			t.Errorf("%s behind a rule that allows everything: %v", text, got)
		}
	}
}

// FuzzTarget looks at what ParseTarget makes of any text: it is read again as the same.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"example.com:443", "*.bücher.example/udp", "[2001:db8::/32]:1-2/tcp", "10.0.0.0/8:53", "::1", "a.b:1/icmp",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseTarget(s)
		if err != nil {
			return
		}
		for _, p := range r.Names {
			again, err := ParsePattern(p.String())
			if err != nil || again != p {
				t.Fatalf("%q means %v, which means %v, %v", s, p, again, err)
			}
			if !p.below && Compile([]Rule{r}, true).DecideName(Question{Name: p.name}).Deny {
				t.Fatalf("%q does not allow %s", s, p)
			}
		}
		for _, p := range r.Dst {
			if p.Masked() != p {
				t.Fatalf("%q means %v", s, p)
			}
		}
	})
}

// FuzzName asks for any name as a message may have it.
func FuzzName(f *testing.F) {
	r := Compile([]Rule{{Names: []Pattern{{"example.com", true}}}}, true)
	for _, s := range []string{"www.example.com", `\`, `a\.example.com`, ".example.com", "..", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if r.DecideName(Question{Name: name}).Deny != r.Decide(&Request{Name: name}).Deny {
			t.Fatalf("%q: asking for it and connecting to it differ", name)
		}
	})
}
