package route

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// step is one change of the host. Run makes it, plan prints it, the watcher makes it again, cleanup
// takes it back.
type step struct {
	command string // that does the same in a shell
	id      string // of the object that is made; "" = the command tells
	revert  string // the command that does what undo does; "" = command with del for add
	watched bool   // to be made again when somebody has taken it back
	creates bool   // an interface, to which the next steps that are not watched belong

	// apply returns an error that wraps unix.EEXIST where there is nothing to do.
	apply func(*handles) error
	undo  func(*handles) error // nil: it goes with the interface
}

// undoCommand is the command that does what undo does.
func (s step) undoCommand() string {
	if s.revert != "" {
		return s.revert
	}
	return strings.Replace(s.command, " add ", " del ", 1)
}

// sameObject tells whether two steps make the same thing, the second in place of the first.
func (s step) sameObject(t step) bool {
	if s.id != "" || t.id != "" {
		return s.id == t.id
	}
	return s.command == t.command
}

// summary is the command in one line.
func (s step) summary() string {
	if s.id != "" {
		return s.id
	}
	return s.command
}

// steps returns everything that is to be done, in order.
func (c Config) steps() []step {
	steps := interfaceSteps(c)
	if c.hasRules() && c.Closed {
		steps = append(steps, guardSteps(c)...)
	}
	steps = append(steps, routeSteps(c)...)
	if !c.hasRules() {
		return steps
	}
	var last []step // the rules by which packets with the table's mark enter
	for _, family := range families(c.Include) {
		for _, r := range rules(c, family) {
			if !c.ByRules && r.Priority == c.Priority+ruleMark {
				last = append(last, ruleStep(r))
				continue
			}
			steps = append(steps, ruleStep(r))
		}
	}
	if !c.ByRules {
		steps = append(steps, tableStep(c))
	}
	return append(steps, last...)
}

// queueLen is the transmit queue of the TUN in packets. At 500, wireguard's, a flood of SYNs loses
// a tenth before anybody has read them.
const queueLen = 10000

// interfaceSteps prepare the TUN, which exists. What has no undo goes with the interface.
func interfaceSteps(c Config) []step {
	steps := []step{{
		command: fmt.Sprintf("ip link set dev %s txqueuelen %d", c.Name, queueLen),
		apply:   onLink(c.Name, func(k *handles, l netlink.Link) error { return k.LinkSetTxQLen(l, queueLen) }),
	}}
	steps = append(steps, quietSteps(c.Name, len(only4(c.Addresses)) < len(c.Addresses) || slices.Contains(families(c.Include), netlink.FAMILY_V6))...)
	if c.hasRules() && (c.KeepInbound || !c.ByRules) && reversePathStrict(c.Name) {
		// The answer to what comes out of the TUN for another machine would leave by another way.
		steps = append(steps, sysctlStep("net/ipv4/conf/"+c.Name+"/rp_filter", "2"))
	}
	steps = append(steps, step{
		command: "ip link set dev " + c.Name + " up",
		apply:   onLink(c.Name, func(k *handles, l netlink.Link) error { return k.LinkSetUp(l) }),
	})
	for _, a := range c.Addresses {
		steps = append(steps, addressStep(a, c.Name))
	}
	return steps
}

// guardSteps make the interface that takes the traffic when the TUN is gone: a TUN that nobody
// reads drops it. An unreachable route would not do, see doc.go.
func guardSteps(c Config) []step {
	name := c.guard()
	steps := []step{{
		command: "ip tuntap add dev " + name + " mode tun",
		watched: true,
		creates: true,
		apply: func(k *handles) error {
			if l, err := k.LinkByName(name); err == nil && l.Type() == "tuntap" {
				return unix.EEXIST
			}
			attrs := netlink.NewLinkAttrs()
			attrs.Name = name
			return k.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN})
		},
		undo: onLink(name, func(k *handles, l netlink.Link) error { return k.LinkDel(l) }),
	}}
	is6 := slices.Contains(families(c.Include), netlink.FAMILY_V6)
	steps = append(steps, quietSteps(name, is6)...)
	if is6 {
		steps = append(steps, sysctlStep("net/ipv6/conf/"+name+"/ignore_routes_with_linkdown", "0"))
	}
	steps = append(steps, step{
		command: "ip link set dev " + name + " up",
		watched: true,
		apply: onLink(name, func(k *handles, l netlink.Link) error {
			if isUp(l) {
				return unix.EEXIST
			}
			return k.LinkSetUp(l)
		}),
	})
	if is6 {
		// Sockets are to have the same source as with the TUN, which the rules know. The source of
		// a route would not do: the kernel takes it off when somebody deletes the address.
		if a, ok := c.address(netip.PrefixFrom(netip.IPv6Unspecified(), 0)); ok {
			steps = append(steps, addressStep(netip.PrefixFrom(a, a.BitLen()), name))
		}
	}
	return steps
}

func addressStep(a netip.Prefix, link string) step {
	command := fmt.Sprintf("ip address add %s dev %s", a, link)
	switch {
	case a.Addr().Is6():
		command += " nodad"
	case a.Bits() < 31:
		command += " brd +" // the netlink package does so
	}
	return step{
		command: command,
		watched: true,
		apply: onLink(link, func(k *handles, l netlink.Link) error {
			if err := k.AddrAdd(l, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}); err != nil {
				return err
			}
			if !isUp(l) {
				return nil
			}
			return awaitAddress(k, l, a.Addr())
		}),
		undo: onLink(link, func(k *handles, l netlink.Link) error {
			return k.AddrDel(l, &netlink.Addr{IPNet: ipNet(a)})
		}),
	}
}

func isUp(l netlink.Link) bool { return l.Attrs().RawFlags&unix.IFF_UP != 0 }

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenModeNone = 1

// quietSteps turn off link-local addresses: nobody answers the router solicitations and listener
// reports that the host would send into the interface. Where the interface has to carry IPv6, it is
// turned on, whatever the host does elsewhere.
func quietSteps(name string, carries6 bool) []step {
	if !hasIPv6() {
		return nil
	}
	steps := []step{{
		command: "ip link set dev " + name + " addrgenmode none",
		apply: onLink(name, func(k *handles, l netlink.Link) error {
			return k.LinkSetIP6AddrGenMode(l, addrGenModeNone)
		}),
	}}
	if carries6 {
		steps = append(steps, sysctlStep("net/ipv6/conf/"+name+"/disable_ipv6", "0"))
	}
	return steps
}

// sysctlStep sets a kernel parameter. It does not write where the value is right: /proc/sys may be
// read-only.
func sysctlStep(key, value string) step {
	return step{
		command: fmt.Sprintf("sysctl -qw %s=%s", key, value),
		apply: func(*handles) error {
			file := filepath.Join("/proc/sys", key)
			b, err := os.ReadFile(file)
			if err != nil || strings.TrimSpace(string(b)) == value {
				return err
			}
			return os.WriteFile(file, []byte(value), 0)
		},
	}
}

// onLink returns a change of the interface named.
func onLink(name string, change func(*handles, netlink.Link) error) func(*handles) error {
	return func(k *handles) error {
		l, err := k.LinkByName(name)
		if err != nil {
			return err
		}
		return change(k, l)
	}
}

// awaitAddress waits until the host takes packets for an address of its own, by a route of the
// interface. The kernel adds that route of an IPv6 address a moment later; a SYN-ACK before it
// would be lost.
func awaitAddress(k *handles, l netlink.Link, a netip.Addr) error {
	const patience = 5 * time.Second
	host := ipNet(netip.PrefixFrom(a, a.BitLen()))
	want := netlink.Route{Table: unix.RT_TABLE_LOCAL, LinkIndex: l.Attrs().Index, Dst: host}
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		routes, err := k.RouteListFiltered(familyOf(host), &want, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF|netlink.RT_FILTER_DST)
		if err == nil && len(routes) > 0 {
			return nil
		}
		if time.Since(start) > patience {
			return fmt.Errorf("address %s not usable after %v", a, patience)
		}
	}
}

// isGone tells whether an object could not be deleted because it, or the interface it belonged to,
// is not there.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EADDRNOTAVAIL) ||
		errors.As(err, new(netlink.LinkNotFoundError))
}

// hasIPv6 tells whether the kernel has IPv6 at all.
func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return !errors.Is(err, fs.ErrNotExist)
}
