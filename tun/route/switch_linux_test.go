package route_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// meanwhile calls do before each step of Configure in a namespace with an uplink, and before each
// of those that undo them. It calls routed in between.
func meanwhile(t *testing.T, do func(when string), routed func()) {
	t.Helper()
	ns, peer := tuntest.NewNamespace(t), tuntest.NewNamespace(t)
	ns.Join("uplink0", peer, "uplink1")
	for _, a := range []string{"192.0.2.2/24", "2001:db8::2/64"} {
		ns.AddAddress("uplink0", a)
	}
	for _, a := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		peer.AddAddress("uplink1", a)
	}
	ns.AddRoute("0.0.0.0/0", "192.0.2.1")
	ns.AddRoute("::/0", "2001:db8::1")
	go echo(peer.Listen("tcp", ":7"))
	open(t, ns, "syntap0")
	if err := ns.Do(func() error {
		h, err := route.ConfigureFailing(tracking(), false, func(command string) error {
			do(fmt.Sprintf("before %q", command))
			return nil
		})
		if err != nil {
			return err
		}
		routed()
		h.SetFailpoint(func(command string) error {
			do(fmt.Sprintf("before %q", command))
			return nil
		})
		return h.Close()
	}); err != nil {
		t.Fatal(err)
	}
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c) // up to the client's end
		}()
	}
}

// TestNothingRefusedMeanwhile sends a datagram of each family at each moment.
func TestNothingRefusedMeanwhile(t *testing.T) {
	t.Parallel()
	meanwhile(t, func(when string) {
		for _, to := range []string{"203.0.113.1:9", "[2001:db8:1::1]:9"} {
			client, err := net.Dial("udp", to)
			if err != nil {
				t.Errorf("%s: %v", when, err)
				continue
			}
			if _, err := fmt.Fprint(client, "datagram"); err != nil {
				t.Errorf("%s: %v", when, err)
			}
			client.Close()
		}
	}, func() {})
}

// TestOpenedMeanwhile opens connections of each family at each moment of Configure, which stay
// outside.
func TestOpenedMeanwhile(t *testing.T) {
	t.Parallel()
	clients, routed := make(map[string]net.Conn), false
	meanwhile(t, func(when string) {
		for _, to := range []string{"192.0.2.1:7", "[2001:db8::1]:7"} {
			if routed {
				return
			}
			client, err := net.DialTimeout("tcp", to, tuntest.Patience)
			if err != nil {
				t.Errorf("%s: %v", when, err)
				continue
			}
			t.Cleanup(func() { client.Close() })
			clients[to+" "+when] = client
		}
	}, func() {
		routed = true
		for name, client := range clients {
			b := []byte("x")
			if err := client.SetDeadline(time.Now().Add(tuntest.Patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Write(b); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if _, err := client.Read(b); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// tracks makes a table that has the kernel track connections.
const tracks = "add table inet other; add chain inet other forward { type filter hook forward priority 0; }; " +
	"add rule inet other forward ct state established accept"

// TestForwardedOpenBefore keeps a connection of a LAN client that began while nothing was tracked,
// though entries of an earlier time are left, and one that was tracked.
func TestForwardedOpenBefore(t *testing.T) {
	t.Parallel()
	for name, tracked := range map[string]bool{"tracked": true, "not tracked": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			openBefore(t, tracked)
		})
	}
}

func openBefore(t *testing.T, tracked bool) {
	lab := tuntest.NewLab(t)
	go echo(lab.Server.Listen("tcp", ":7"))
	roundTrip := func(c net.Conn) {
		t.Helper()
		b := []byte("x")
		if err := c.SetDeadline(time.Now().Add(tuntest.Patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(b); err != nil {
			t.Error(err)
		} else if _, err := c.Read(b); err != nil {
			t.Error(err)
		}
	}
	dial := func() net.Conn {
		c, err := lab.Client.Dial(t.Context(), "tcp", net.JoinHostPort(tuntest.ServerAddr4, "7"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		roundTrip(c)
		return c
	}
	lab.Router.Run("nft", tracks)
	dial()
	if !tracked {
		lab.Router.Run("nft", "delete table inet other")
	}
	client := dial()
	c := tracking()
	c.Sources = prefixes("192.0.2.0/24")
	open(t, lab.Router, c.Name)
	h := configure(t, lab.Router, c)
	defer closeHost(t, h)
	roundTrip(client)
	got := strings.Contains(lab.Router.Run("nft", "list", "chain", "inet", c.Name, "forwarded_midstream"), "sources4")
	if got != tracked {
		t.Errorf("segments in the middle of a connection enter: %v, want %v", got, tracked)
	}
}
