package route_test

import (
	"net"
	"net/netip"
	"testing"

	"syntap/tun"
	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// TestQueueDrops sends into an interface that is not read until the kernel drops packets.
func TestQueueDrops(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	ns.Sysctl("net.ipv6.conf.default.disable_ipv6", "1") // the kernel would send there by itself
	var dev *tun.Device
	if err := ns.Do(func() (err error) {
		dev, err = tun.Open("tap0", 1500, 1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Close() })
	ns.AddAddress("tap0", "192.0.2.1/24")
	ns.Run("ip", "link", "set", "tap0", "up")
	conn := ns.ListenPacket("udp4", "192.0.2.1:1051")
	server := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.2:53"))
	drops := func() (n uint64) {
		if err := ns.Do(func() (err error) {
			n, err = route.QueueDrops("tap0")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := drops(); n != 0 {
		t.Errorf("%d packets dropped before the first", n)
	}
	ns.Run("ip", "link", "set", "tap0", "txqueuelen", "10")
	const sent = 100
	for range sent {
		_, _ = conn.WriteTo([]byte("question"), server) // a drop may be an error
	}
	tuntest.Wait(t, "drops", func() bool { return drops() > 0 })
	if n := drops(); n >= sent {
		t.Errorf("%d packets dropped of %d", n, sent)
	}
	if _, err := route.QueueDrops("absent0"); err == nil {
		t.Error("drops of an interface that does not exist")
	}
}
