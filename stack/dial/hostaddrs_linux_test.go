package dial_test

import (
	"net/netip"
	"testing"

	"syntap/stack/dial"
	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) { tuntest.Main(m) }

// The kernel knows more addresses of its own than its interfaces have.
func TestHostAddrs(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	peer := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	ns.Join("eth0", peer, "eth0")
	ns.AddAddress("eth0", "192.0.2.1/24")
	ns.AddAddress("eth0", "2001:db8:1::1/64")
	ns.Sysctl("net.ipv6.conf.all.forwarding", "1")
	ns.Run("ip", "route", "add", "local", "203.0.113.0/25", "dev", "lo")
	ns.Run("ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo", "table", "100")
	ns.Run("ip", "rule", "add", "fwmark", "7", "lookup", "100")
	ns.Run("ip", "-6", "route", "add", "local", "2001:db8:2::/64", "dev", "lo")
	ns.Run("ip", "route", "add", "default", "via", "192.0.2.2")
	var plain dial.HostAddrs
	marked := dial.HostAddrs{Mark: 7}
	defer plain.Close()
	defer marked.Close()
	for _, tt := range []struct {
		addr          string
		plain, marked bool
	}{
		{"192.0.2.1", true, true},
		{"192.0.2.2", false, false},
		{"127.1.2.3", true, true},
		{"::1", true, true},
		{"203.0.113.77", true, true}, // AnyIP
		{"203.0.113.177", false, false},
		{"198.51.100.9", false, true}, // for marked sockets alone
		{"2001:db8:1::1", true, true},
		{"2001:db8:1::", true, true}, // subnet-router anycast
		{"2001:db8:1::2", false, false},
		{"2001:db8:2::77", true, true},
		{"2001:db8:3::1", false, false}, // no route
		{"::ffff:192.0.2.1", true, true},
	} {
		_ = ns.Do(func() error {
			a := netip.MustParseAddr(tt.addr)
			if plain, marked := plain.Contains(a), marked.Contains(a); plain != tt.plain || marked != tt.marked {
				t.Errorf("%s: own %t, with mark %t, want %t, %t", a, plain, marked, tt.plain, tt.marked)
			}
			return nil
		})
	}
}
