package nft_test

import (
	"net/netip"
	"slices"
	"testing"

	"syntap/tun/nft"
	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) { tuntest.Main(m) }

func addresses(first, last string) nft.Range {
	a, b := netip.MustParseAddr(first), netip.MustParseAddr(last)
	return nft.Range{First: a.AsSlice(), Last: b.AsSlice(), Text: first + "-" + last}
}

// TestReplaceKeepsElements looks at how the kernel lists elements: those that are as before must
// not be made anew, because a packet on its way through the old rules would not find them.
func TestReplaceKeepsElements(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	flow := nft.Concat(nft.IPv4Addr, nft.Port, nft.IPv4Addr, nft.Port)
	table := &nft.Table{Name: "keeps", Sets: []nft.Set{
		{Name: "all4", Type: nft.IPv4Addr, Interval: true, Elements: []nft.Range{addresses("0.0.0.0", "223.255.255.255"), addresses("240.0.0.0", "255.255.255.254")}},
		{Name: "all6", Type: nft.IPv6Addr, Interval: true, Elements: []nft.Range{addresses("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}},
		{Name: "some4", Type: nft.IPv4Addr, Interval: true, Elements: []nft.Range{addresses("192.0.2.0", "192.0.2.255"), addresses("198.51.100.7", "198.51.100.7")}},
		{Name: "some6", Type: nft.IPv6Addr, Interval: true, Elements: []nft.Range{addresses("2001:db8::", "2001:db8::ffff")}},
		{Name: "users", Type: nft.UID, Interval: true, Elements: []nft.Range{
			{First: []byte{0, 0, 0, 0}, Last: []byte{0, 0, 3, 0xe7}, Text: "0-999"}, {First: []byte{0, 0, 3, 0xe9}, Last: []byte{0xff, 0xff, 0xff, 0xfe}, Text: "1001-4294967294"},
		}},
		{Name: "links", Type: nft.InterfaceIndex, Elements: []nft.Range{{First: []byte{1, 0, 0, 0}, Text: `"lo"`}}},
		{Name: "flows", Type: flow, Elements: []nft.Range{{First: []byte{192, 0, 2, 1, 0, 22, 0, 0, 192, 0, 2, 2, 1, 1, 0, 0}, Text: "192.0.2.1 . 22 . 192.0.2.2 . 257"}}},
		{Name: "none", Type: nft.IPv4Addr, Interval: true},
	}}
	if err := ns.Do(func() error {
		k, err := nft.Open()
		if err != nil {
			return err
		}
		defer k.Close()
		if err := k.Replace(table); err != nil {
			return err
		}
		for _, s := range table.Sets {
			if same, err := k.Unchanged(table, s); err != nil || !same {
				t.Errorf("set %s is listed as it was given: %t, %v", s.Name, same, err)
			}
		}
		return k.Delete(table.Name)
	}); err != nil {
		t.Fatal(err)
	}
}

// TestZones puts packets into zones by each kind of rule.
func TestZones(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	ns.Run("nft", `
		table inet zones {
			chain jumped { iifname "eth2" ct zone set 3; }
			chain prerouting { type filter hook prerouting priority -300;
				ct zone set iifname map { "eth0" : 512, "eth1" : 2 }
				jump jumped
			}
			chain output { type filter hook output priority -300; meta mark set 9; ct zone set 4; }
			chain late { type filter hook prerouting priority 0; ct mark set 11; }
		}
		table inet own { chain prerouting { type filter hook prerouting priority -300; ct zone set 6; }; }
		`)
	ns.Run("iptables", "-t", "raw", "-A", "OUTPUT", "-j", "CT", "--zone", "5")
	if err := ns.Do(func() error {
		k, err := nft.Open()
		if err != nil {
			return err
		}
		defer k.Close()
		zones, err := k.Zones([]string{"own"})
		if want := []uint16{2, 3, 4, 5, 512}; !slices.Equal(zones, want) {
			t.Errorf("zones = %d, want %d", zones, want)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
