package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// queueLen is the transmit queue of the TUN in packets. At 500, wireguard's, a flood of SYNs loses a tenth before
// anybody has read them.
const queueLen = 10000

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenModeNone = 1

// Host is what Configure has changed and Close undoes.
type Host struct {
	nl   *netlink.Handle
	done []step

	failpoint func(what string) error // asked before each step; nil outside of tests
}

// step is a change that was made.
type step struct {
	what string
	undo func() error
}

// Configure brings the interface up and routes traffic into it, in the network namespace of the calling thread. Rules and
// routes that a dead run with the same configuration has left are replaced. On an error everything but the interface is
// as it was before; the interface is the caller's to close.
func Configure(c HostConfig) (*Host, error) { return configure(c, nil) }

func configure(c HostConfig, failpoint func(what string) error) (*Host, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	h := &Host{nl: nl, failpoint: failpoint}
	if err := h.configure(c); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *Host) configure(c HostConfig) error {
	if !hasIPv6() {
		c.Addresses, c.Include = only4(c.Addresses), only4(c.Include)
	}
	link, err := h.nl.LinkByName(c.Name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", c.Name, err)
	}
	if len(c.Include) > 0 && c.Table != 0 {
		if c.Mark == 0 {
			return errors.New("add rules: the mark 0 is that of every socket")
		}
		if err := reclaim(h.nl, c); err != nil {
			return err
		}
	}
	if err := h.bringUp(link, c.Addresses, c.Include); err != nil {
		return err
	}
	return h.route(link, c)
}

// bringUp prepares the interface. There is nothing to undo: it all goes with the interface.
func (h *Host) bringUp(link netlink.Link, addresses, include []netip.Prefix) error {
	name := link.Attrs().Name
	if err := h.do("set queue length of "+name, func() error { return h.nl.LinkSetTxQLen(link, queueLen) }, nil); err != nil {
		return err
	}
	if ipv6 := filepath.Join(ipv6Sysctls, "conf", name); exists(ipv6) {
		// No link-local address: nobody answers the router solicitations and listener reports it would send into the TUN.
		quiet := func() error { return h.nl.LinkSetIP6AddrGenMode(link, addrGenModeNone) }
		if err := h.do("turn off link-local addresses of "+name, quiet, nil); err != nil {
			return err
		}
		if len(addresses)+len(include) > len(only4(addresses))+len(only4(include)) {
			enable := func() error { return enableIPv6(ipv6) }
			if err := h.do("enable IPv6 on "+name, enable, nil); err != nil {
				return err
			}
		}
	}
	for _, a := range addresses {
		add := func() error {
			return h.nl.AddrAdd(link, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD})
		}
		if err := h.do(fmt.Sprintf("add address %s dev %s", a, name), add, nil); err != nil {
			return err
		}
	}
	return h.do("set interface "+name+" up", func() error { return h.nl.LinkSetUp(link) }, nil)
}

// do makes one change and remembers how to undo it, if undo is not nil.
func (h *Host) do(what string, apply, undo func() error) error {
	if h.failpoint != nil {
		if err := h.failpoint(what); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := apply(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if undo != nil {
		h.done = append(h.done, step{what, undo})
	}
	return nil
}

// Close removes the rules and routes, last made first; those that are gone already do not matter. The interface stays,
// configured, until its owner closes it. Close may be called from any thread, and again.
func (h *Host) Close() error {
	var errs []error
	for _, s := range slices.Backward(h.done) {
		if err := s.undo(); err != nil && !isGone(err) {
			errs = append(errs, fmt.Errorf("undo %s: %w", s.what, err))
		}
	}
	h.done = nil
	h.nl.Close()
	return errors.Join(errs...)
}

// isGone tells whether an object could not be deleted because it, or the interface it belonged to, is not there.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV)
}

const ipv6Sysctls = "/proc/sys/net/ipv6"

// hasIPv6 tells whether the kernel has IPv6 at all.
func hasIPv6() bool { return exists(ipv6Sysctls) }

// enableIPv6 turns on IPv6 for the interface with the given directory of sysctls, whatever the host does elsewhere:
// otherwise its IPv6 traffic could not be routed here.
func enableIPv6(dir string) error {
	file := filepath.Join(dir, "disable_ipv6")
	value, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(value)) == "0" {
		return err
	}
	return os.WriteFile(file, []byte("0"), 0)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// only4 returns the IPv4 prefixes among prefixes.
func only4(prefixes []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// ipNet returns a prefix in the form the netlink package wants, host bits included.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
