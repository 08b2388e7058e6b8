package route_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/route"
	"syntap/tun/tuntest"
)

// TestWatchOutlivesErrors has the reading of the host fail, and the writing of the journal, while
// a rule of the host comes that selects the router's own sockets. Watch restores what is deleted
// meanwhile, and follows the rule once it can.
func TestWatchOutlivesErrors(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"read the host's network", "follow the host's network"} {
		t.Run(failing, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			ns := lab.Router
			before := ns.State()
			remove := open(t, ns, "syntap0")
			c := tracking()
			c.StateDir = t.TempDir()
			h := configure(t, ns, c)
			var mended atomic.Bool
			var failed atomic.Int64
			h.SetFailpoint(func(command string) error {
				if command != failing || mended.Load() {
					return nil
				}
				failed.Add(1)
				return errors.New("failpoint")
			})
			stop := watch(t, h)

			ns.Run("ip", "rule", "add", "pref", "789", "fwmark", "0x1/0x1", "lookup", "310")
			tuntest.Wait(t, "two failures", func() bool { return failed.Load() >= 2 })
			ns.Run("ip", "rule", "del", "pref", "5366")
			tuntest.Wait(t, "the rule to be restored", func() bool { return h.Restored() > 0 })
			has := func(rule string) bool { return strings.Contains(ns.Run("ip", "rule"), rule) }
			const skip = "788:\tfrom all fwmark 0x5359 goto 790"
			if has(skip) {
				t.Errorf("a rule that is not in the journal:\n%s", ns.Run("ip", "rule"))
			}
			mended.Store(true)
			tuntest.Wait(t, "the router's sockets to pass the rule", func() bool { return has(skip) })

			if err := stop(); err != nil {
				t.Errorf("Watch = %v", err)
			}
			ns.Run("ip", "rule", "del", "pref", "789")
			closeHost(t, h)
			remove()
			checkRestored(t, ns, c, before)
		})
	}
}

// TestFormerUnderlay has a rule of the host go, and the undoing of the router's rule beside it fail
// once, or until the end.
func TestFormerUnderlay(t *testing.T) {
	t.Parallel()
	for name, mends := range map[string]bool{"during Watch": true, "at the end": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			ns := lab.Router
			before := ns.State()
			ns.Run("ip", "rule", "add", "pref", "789", "fwmark", "0x1/0x1", "lookup", "310")
			remove := open(t, ns, "syntap0")
			c := tracking()
			c.StateDir = t.TempDir()
			h := configure(t, ns, c)
			var mended atomic.Bool
			var failed atomic.Int64
			h.SetFailpoint(func(command string) error {
				if command != "ip rule del pref 788 fwmark 0x5359 goto 790" || mended.Load() {
					return nil
				}
				failed.Add(1)
				return errors.New("failpoint")
			})
			stop := watch(t, h)

			ns.Run("ip", "rule", "del", "pref", "789")
			tuntest.Wait(t, "the undoing to fail", func() bool { return failed.Load() > 0 })
			if mends {
				mended.Store(true)
				tuntest.Wait(t, "the rule to be undone", func() bool {
					return !strings.Contains(ns.Run("ip", "rule"), "788:")
				})
			}
			if err := stop(); err != nil {
				t.Errorf("Watch = %v", err)
			}
			mended.Store(true)
			closeHost(t, h)
			remove()
			checkRestored(t, ns, c, before)
		})
	}
}

// TestWatchFollowsResolvers changes the host's nameserver while its resolver has a socket that is
// bound to the uplink.
func TestWatchFollowsResolvers(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	ns := lab.Router
	open(t, ns, "syntap0")
	var nameserver atomic.Value
	nameserver.Store(netip.MustParseAddr("192.0.2.53"))
	c := tracking()
	c.Resolvers = func() []netip.Addr { return []netip.Addr{nameserver.Load().(netip.Addr)} }
	h := configure(t, ns, c)
	t.Cleanup(func() { closeHost(t, h) })
	stop := watch(t, h)

	serve := lab.Server.ListenPacket("udp4", tuntest.ServerAddr4+":53")
	go func() {
		b := make([]byte, 64)
		for {
			n, from, err := serve.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = serve.WriteTo(b[:n], from) // the client asks again
		}
	}()
	client := bound(t, ns, "wan0", tuntest.ServerAddr4+":53")
	refused := func() bool {
		_, err := client.Write([]byte("?"))
		return errors.Is(err, unix.EPERM)
	}
	tuntest.Wait(t, "a query past the TUN to be refused", refused)
	nameserver.Store(netip.MustParseAddr(tuntest.ServerAddr4))
	tuntest.Wait(t, "an answer of the new nameserver", func() bool {
		if refused() {
			return false
		}
		_ = client.SetReadDeadline(time.Now().Add(time.Second)) // the socket is open
		_, err := client.Read(make([]byte, 64))
		return err == nil
	})
	if sets := ns.Run("nft", "list", "ruleset"); strings.Contains(sets, "192.0.2.53") {
		t.Error("the table has the old nameserver, too")
	}
	if n := h.Restored(); n != 0 {
		t.Errorf("%d steps restored, want 0: no other program has removed any", n)
	}
	if err := stop(); err != nil {
		t.Errorf("Watch = %v", err)
	}
}

// TestRulesWithoutPriority has rules of the host come without a priority, so that the kernel puts
// them before all others, and go. The router's go before them and return, also if it dies.
func TestRulesWithoutPriority(t *testing.T) {
	t.Parallel()
	inBothModes(t, rulesWithoutPriority)
}

func rulesWithoutPriority(t *testing.T, c route.Config) {
	ns := tuntest.NewNamespace(t)
	before := ns.State()
	c.StateDir = t.TempDir()
	remove := open(t, ns, "syntap0")
	h := configure(t, ns, c)
	stop := watch(t, h)
	configured := routing(ns)
	begins := func(at string) {
		t.Helper()
		tuntest.Wait(t, "the router's rules to begin at "+at, func() bool {
			rules := strings.Split(ns.Run("ip", "rule"), "\n")
			return strings.HasPrefix(rules[1], at+":") && !strings.Contains(ns.Run("ip", "rule"), "5359:")
		})
	}

	ns.Run("ip", "rule", "add", "lookup", "70") // at 5358
	begins("5350")
	ns.Run("ip", "rule", "add", "lookup", "71") // at 5349
	ns.Run("ip", "-6", "rule", "add", "lookup", "72")
	begins("5341")
	if err := stop(); err != nil {
		t.Errorf("Watch = %v", err)
	}
	h.Abandon()
	remove()
	waitDisowned(t, ns)
	remove = open(t, ns, "syntap0")
	h = configure(t, ns, c)
	begins("5341")
	again := sync.OnceFunc(func() { ns.Run("ip", "rule", "add", "lookup", "73") }) // at 5340
	h.SetFailpoint(func(command string) error {
		if strings.HasPrefix(command, "ip rule del pref 5341 ") {
			again()
		}
		return nil
	})
	stop = watch(t, h)
	ns.Run("ip", "rule", "del", "lookup", "70")
	ns.Run("ip", "-6", "rule", "del", "lookup", "72")
	begins("5341")
	ns.Run("ip", "rule", "del", "lookup", "71")
	begins("5332")
	ns.Run("ip", "rule", "del", "lookup", "73")
	waitRouting(t, ns, "the last of them has gone", configured)
	if err := stop(); err != nil {
		t.Errorf("Watch = %v", err)
	}
	closeHost(t, h)
	remove()
	checkRestored(t, ns, c, before)
}

// bound returns a UDP socket that is bound to an interface, and closes it when the test ends.
func bound(t *testing.T, ns *tuntest.Namespace, link, to string) net.Conn {
	t.Helper()
	var conn net.Conn
	if err := ns.Do(func() (err error) {
		d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
			controlErr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), link) })
			return errors.Join(err, controlErr)
		}}
		conn, err = d.DialContext(context.Background(), "udp4", to)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
