package route_test

import (
	"fmt"
	"net"
	"testing"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// TestNothingRefusedMeanwhile sends a datagram of each family before each step of Configure and of
// Close: none may be refused.
func TestNothingRefusedMeanwhile(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	ns.Join("uplink0", tuntest.NewNamespace(t), "uplink1")
	ns.AddAddress("uplink0", "192.0.2.2/24")
	ns.AddAddress("uplink0", "2001:db8::2/64")
	ns.AddRoute("0.0.0.0/0", "192.0.2.1")
	ns.AddRoute("::/0", "2001:db8::1")
	open(t, ns, "syntap0")
	send := func(command string) error {
		for _, to := range []string{"203.0.113.1:9", "[2001:db8:1::1]:9"} {
			client, err := net.Dial("udp", to)
			if err != nil {
				t.Errorf("before %q: %v", command, err)
				continue
			}
			if _, err := fmt.Fprint(client, "datagram"); err != nil {
				t.Errorf("before %q: %v", command, err)
			}
			client.Close()
		}
		return nil
	}
	if err := ns.Do(func() error {
		h, err := route.ConfigureFailing(tracking(), false, send)
		if err != nil {
			return err
		}
		h.SetFailpoint(send)
		return h.Close()
	}); err != nil {
		t.Fatal(err)
	}
}
