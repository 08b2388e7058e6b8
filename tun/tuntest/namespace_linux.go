package tuntest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace of its own for a test. It ends with the test.
type Namespace struct {
	// Netlink talks to the kernel about this namespace, from any goroutine.
	Netlink *netlink.Handle

	tb     testing.TB
	handle netns.NsHandle
}

// NewNamespace makes a namespace in which only lo is up. It calls RequireNetNS.
func NewNamespace(tb testing.TB) *Namespace {
	tb.Helper()
	RequireNetNS(tb)
	handle, err := unshareNetNS()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { handle.Close() })
	nl, err := netlink.NewHandleAt(handle, unix.NETLINK_ROUTE)
	if err != nil {
		tb.Fatalf("open netlink socket: %v", err)
	}
	tb.Cleanup(nl.Close)
	ns := &Namespace{Netlink: nl, tb: tb, handle: handle}
	if err := ns.Do(loopbackUp); err != nil {
		tb.Fatal(err)
	}
	return ns
}

// unshareNetNS returns a new network namespace. The thread stays where it was.
func unshareNetNS() (netns.NsHandle, error) {
	ns := netns.None()
	err := withThreadNetNS(func() (err error) {
		ns, err = netns.New()
		if err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		return nil
	})
	return ns, err
}

// withThreadNetNS calls f on a thread of its own use, whose network namespace f may change.
func withThreadNetNS(f func() error) error {
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer func() {
		// Go on in the wrong namespace and the next test changes the host.
		if err := netns.Set(before); err != nil {
			panic(fmt.Sprintf("tuntest: return to network namespace: %v", err))
		}
		before.Close()
		runtime.UnlockOSThread()
	}()
	return f()
}

// Do calls f with the calling goroutine in the namespace. Sockets that f opens stay there;
// goroutines that f starts do not.
func (ns *Namespace) Do(f func() error) error {
	return withThreadNetNS(func() error {
		if err := netns.Set(ns.handle); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// Dial connects from the namespace to an address that needs no resolving.
func (ns *Namespace) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = ns.Do(func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a listener in the namespace, and closes it when the test ends.
func (ns *Namespace) Listen(network, address string) net.Listener {
	ns.tb.Helper()
	var l net.Listener
	err := ns.Do(func() (err error) {
		l, err = net.Listen(network, address)
		return err
	})
	if err != nil {
		ns.tb.Fatal(err)
	}
	ns.tb.Cleanup(func() { l.Close() })
	return l
}

// ListenPacket opens a packet socket such as "udp" in the namespace, and closes it when the test
// ends.
func (ns *Namespace) ListenPacket(network, address string) net.PacketConn {
	ns.tb.Helper()
	var c net.PacketConn
	err := ns.Do(func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	})
	if err != nil {
		ns.tb.Fatal(err)
	}
	ns.tb.Cleanup(func() { c.Close() })
	return c
}

// Sysctl sets a kernel parameter below net, such as "net.ipv4.ip_forward", in the namespace.
func (ns *Namespace) Sysctl(name, value string) {
	ns.tb.Helper()
	path := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
	if err := ns.Do(func() error { return os.WriteFile(path, []byte(value), 0) }); err != nil {
		ns.tb.Fatalf("set %s=%s: %v", name, value, err)
	}
}

// AddAddress gives an interface an address with its prefix length, usable at once.
func (ns *Namespace) AddAddress(link, prefix string) {
	ns.tb.Helper()
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		ns.tb.Fatal(err)
	}
	addr.Flags = unix.IFA_F_NODAD
	if err := ns.Netlink.AddrAdd(ns.Link(link), addr); err != nil {
		ns.tb.Fatalf("add address %s to %s: %v", prefix, link, err)
	}
	Wait(ns.tb, "address "+prefix, func() bool { // the kernel adds the routes of IPv6 a little later
		routes, err := ns.Netlink.RouteGet(addr.IP)
		return err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL
	})
}

// AddRoute adds a route to the main table.
func (ns *Namespace) AddRoute(prefix, gateway string) {
	ns.tb.Helper()
	_, dst, err := net.ParseCIDR(prefix)
	if err != nil {
		ns.tb.Fatal(err)
	}
	if err := ns.Netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(gateway)}); err != nil {
		ns.tb.Fatalf("add route %s via %s: %v", prefix, gateway, err)
	}
}

// Link returns an interface by its name.
func (ns *Namespace) Link(name string) netlink.Link {
	ns.tb.Helper()
	link, err := ns.Netlink.LinkByName(name)
	if err != nil {
		ns.tb.Fatalf("find interface %s: %v", name, err)
	}
	return link
}

// State returns everything the namespace's configuration consists of, as the ip and nft commands
// print it: links, addresses, rules, the routes of all tables and packet filters. Whether addresses
// are tentative is left out: the kernel looks for duplicates again when it notices a carrier late.
func (ns *Namespace) State() string {
	ns.tb.Helper()
	var all strings.Builder
	for _, command := range []string{
		"ip address", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all", "nft list ruleset",
	} {
		words := strings.Fields(command)
		fmt.Fprintf(&all, "# %s\n%s", command, ns.Run(words[0], words[1:]...))
	}
	return strings.ReplaceAll(all.String(), " tentative", "")
}

// Drop makes the namespace lose percent of the packets that match, an nft expression such as
// `oifname "wan0" tcp dport 80` (empty = all), at a hook such as "input", "forward" or "output".
func (ns *Namespace) Drop(percent int, hook, match string) {
	ns.tb.Helper()
	ns.Run("nft", fmt.Sprintf(`
		add table inet tuntest
		add chain inet tuntest drop-%[1]s { type filter hook %[1]s priority 0; }
		add rule inet tuntest drop-%[1]s %[2]s numgen random mod 100 >= %[3]d counter drop`, hook, match, 100-percent))
}

// waitUp waits until an interface carries packets and has the IPv6 address that the kernel gives
// it: from then on its state does not change by itself.
func (ns *Namespace) waitUp(name string) {
	ns.tb.Helper()
	link := ns.Link(name)
	Wait(ns.tb, "interface "+name+" to come up", func() bool {
		addrs, err := ns.Netlink.AddrList(link, netlink.FAMILY_V6)
		settled := func(a netlink.Addr) bool { return a.Flags&unix.IFA_F_TENTATIVE == 0 }
		return err == nil && slices.ContainsFunc(addrs, settled) && ns.Link(name).Attrs().OperState == netlink.OperUp
	})
}
