package namespace

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestResolver(t *testing.T) {
	t.Parallel()
	relays := []netip.Addr{netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("2001:db8::2")}
	onHost := func(a netip.Addr) bool { return a.IsLoopback() || a.IsLinkLocalUnicast() }
	tests := []struct {
		name, conf string
		relays     []netip.Addr
		want       string
		servers    map[string]string // nameserver by the address that stands for it
	}{
		{
			name:    "reachable from inside",
			conf:    "search example\nnameserver 192.0.2.53\n",
			relays:  relays,
			want:    "search example\nnameserver 192.0.2.53\n",
			servers: map[string]string{"192.0.2.53": "192.0.2.53"},
		},
		{
			name:    "systemd-resolved",
			conf:    "# a comment\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example\n",
			relays:  relays,
			want:    "# a comment\nnameserver 198.51.100.2\noptions edns0 trust-ad\nsearch example\n",
			servers: map[string]string{"198.51.100.2": "127.0.0.53", "127.0.0.53": "127.0.0.53"},
		},
		{
			name:    "one of two",
			conf:    "nameserver 192.0.2.53\nnameserver\t::1 # local",
			relays:  relays,
			want:    "nameserver 192.0.2.53\nnameserver 198.51.100.2\n",
			servers: map[string]string{"192.0.2.53": "192.0.2.53", "198.51.100.2": "::1", "::1": "::1"},
		},
		{
			name:   "more than relays",
			conf:   "nameserver 127.0.0.1\nnameserver ::ffff:127.0.0.2\nnameserver 127.0.0.3\nnameserver 192.0.2.53\n",
			relays: relays,
			want:   "nameserver 198.51.100.2\nnameserver 2001:db8::2\nnameserver 192.0.2.53\n",
			servers: map[string]string{
				"198.51.100.2": "127.0.0.1", "2001:db8::2": "127.0.0.2",
				"127.0.0.1": "127.0.0.1", "127.0.0.2": "127.0.0.2", "127.0.0.3": "127.0.0.3", "192.0.2.53": "192.0.2.53",
			},
		},
		{
			name:    "on a link of the host",
			conf:    "nameserver fe80::1%eth0\nnameserver 169.254.169.254\n",
			relays:  relays,
			want:    "nameserver 198.51.100.2\nnameserver 2001:db8::2\n",
			servers: map[string]string{"198.51.100.2": "fe80::1%eth0", "fe80::1": "fe80::1%eth0", "2001:db8::2": "169.254.169.254", "169.254.169.254": "169.254.169.254"},
		},
		{
			name:    "any address",
			conf:    "nameserver 0.0.0.0\nnameserver ::\n",
			relays:  relays,
			want:    "nameserver 198.51.100.2\nnameserver 2001:db8::2\n",
			servers: map[string]string{"198.51.100.2": "127.0.0.1", "127.0.0.1": "127.0.0.1", "2001:db8::2": "::1", "::1": "::1"},
		},
		{
			name:    "lines that glibc does not read",
			conf:    "search example\n  nameserver 192.0.2.53 # indented\nnameserver 192.0.2.54\r\n\tnameserver 127.0.0.1\r\n",
			relays:  relays,
			want:    "search example\nnameserver 192.0.2.53\nnameserver 192.0.2.54\nnameserver 198.51.100.2\n",
			servers: map[string]string{"192.0.2.53": "192.0.2.53", "192.0.2.54": "192.0.2.54", "198.51.100.2": "127.0.0.1", "127.0.0.1": "127.0.0.1"},
		},
		{
			name:    "none named",
			conf:    "; nameserver 192.0.2.53\nnameserver nonsense\nsearch example\n",
			relays:  relays,
			want:    "nameserver 198.51.100.2\n; nameserver 192.0.2.53\nnameserver nonsense\nsearch example\n",
			servers: map[string]string{"198.51.100.2": "127.0.0.1"},
		},
		{
			name:    "no relay",
			conf:    "nameserver 127.0.0.53\n",
			want:    "nameserver 127.0.0.53\n",
			servers: map[string]string{"127.0.0.53": "127.0.0.53"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := newResolver(tt.conf, tt.relays, onHost)
			if got.conf != tt.want || got.changed != (tt.want != tt.conf) {
				t.Errorf("resolv.conf = %q, changed %t; want %q", got.conf, got.changed, tt.want)
			}
			servers := map[string]string{}
			for a, server := range got.servers {
				servers[a.String()] = server.String()
			}
			if diff := cmp.Diff(tt.servers, servers, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("nameservers by address (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReachableOnHostOnly(t *testing.T) {
	t.Parallel()
	onHost, err := reachableOnHostOnly([]netip.Prefix{netip.MustParsePrefix("198.51.100.1/30")})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	want := map[string]bool{
		"127.0.0.53": true, "::1": true, // loopback
		"169.254.1.1": true, "fe80::1%eth0": true, // on a link
		"198.51.100.2": true, // a gateway of this TUN, or of one further out
		"192.0.2.53":   false,
		"2001:db8::53": true, // a family that the TUN lacks
	}
	for a := range want {
		got[a] = onHost(netip.MustParseAddr(a))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reachable on the host only (-want +got):\n%s", diff)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	addr, ap := netip.MustParseAddr, netip.MustParseAddrPort
	nameservers := map[netip.Addr]netip.Addr{addr("198.51.100.2"): addr("127.0.0.53")}
	names := resolver{servers: nameservers, order: []netip.Addr{addr("127.0.0.53")}}
	o := Options{Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/30"), netip.MustParsePrefix("2001:db8::1/126")}}
	open, others := o, o
	open.HostLoopback = true
	others.NetNS = "/proc/1/ns/net"
	tests := []struct {
		name    string
		options Options
		dst     string
		want    string // "" = where it says
	}{
		{"DNS", o, "198.51.100.2:53", "127.0.0.53:53"},
		{"DNS of another gateway", o, "[2001:db8::2]:53", ""},
		{"DNS of another gateway, in a network of others", others, "[2001:db8::2]:53", "127.0.0.53:53"},
		{"gateway", o, "198.51.100.2:80", ""},
		{"gateway with loopback", open, "198.51.100.2:80", "127.0.0.1:80"},
		{"IPv6 gateway with loopback", open, "[2001:db8::2]:53", "[::1]:53"},
		{"DNS with loopback", open, "198.51.100.2:53", "127.0.0.53:53"},
		{"elsewhere", open, "192.0.2.1:53", ""},
	}
	for _, tt := range tests {
		got, ok := newRedirects(tt.options, names).Lookup(ap(tt.dst))
		if ok != (tt.want != "") || ok && got != ap(tt.want) {
			t.Errorf("%s: %s leads to %s, %t; want %q", tt.name, tt.dst, got, ok, tt.want)
		}
	}
}

// Routes that a session asks for are added where they lead elsewhere, and the TUN has their family.
func TestWithRoutes(t *testing.T) {
	t.Parallel()
	ps := func(ss ...string) (all []netip.Prefix) {
		for _, s := range ss {
			all = append(all, netip.MustParsePrefix(s))
		}
		return all
	}
	more := ps("198.18.0.0/15", "fd00:1:2:3::/64")
	both, v4 := ps("198.18.0.1/30", "fd53:7974::1/126"), ps("198.18.0.1/30")
	for _, tt := range []struct{ routes, addresses, want []netip.Prefix }{
		{ps("0.0.0.0/0", "::/0"), both, ps("0.0.0.0/0", "::/0")},
		{ps("192.0.2.0/24"), both, ps("192.0.2.0/24", "198.18.0.0/15", "fd00:1:2:3::/64")},
		{ps("192.0.2.0/24"), v4, ps("192.0.2.0/24", "198.18.0.0/15")},
		{ps("198.18.0.0/30"), v4, ps("198.18.0.0/30", "198.18.0.0/15")},
	} {
		if got := withRoutes(tt.routes, more, tt.addresses); !slices.Equal(got, tt.want) {
			t.Errorf("%v with addresses %v: %v, want %v", tt.routes, tt.addresses, got, tt.want)
		}
	}
}
