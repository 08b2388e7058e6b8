package route

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// queueLen is the length of the TUN's transmit queue in packets. At 500, wireguard's, the queue
// loses a tenth of a flood of SYNs before the router reads them.
const queueLen = 10000

// interfaceSteps prepare the TUN, which exists. A step without undo ends with the interface.
func interfaceSteps(c Config) []step {
	steps := []step{{
		command: fmt.Sprintf("ip link set dev %s txqueuelen %d", c.Name, queueLen),
		apply: onLink(c.Name, func(k *handles, l netlink.Link) error {
			return k.LinkSetTxQLen(l, queueLen)
		}),
	}}
	steps = append(steps, quietSteps(c.Name, len(only6(c.Addresses))+len(only6(c.Include)) > 0)...)
	if c.hasRules() && (c.KeepInbound || !c.ByRules) && reversePathStrict(c.Name) {
		// Another machine's answer to a packet from the TUN may arrive by another interface.
		steps = append(steps, sysctlStep("net/ipv4/conf/"+c.Name+"/rp_filter", "2"))
	}
	if c.hasRules() && forwards4(c) && !enabled(forwarding4(c.Name)) {
		// Answers to other machines arrive by the TUN, as they do by the uplink without the router.
		steps = append(steps, sysctlStep(forwarding4(c.Name), "1"))
	}
	steps = append(steps, upStep(c.Name))
	for _, a := range c.Addresses {
		steps = append(steps, addressStep(a, c.Name))
	}
	return steps
}

// guardAlias tells the operator what a guard is for, and Cleanup that it is one.
const guardAlias = "syntap: takes the traffic while the process is dead"

// guardSteps make the interface that takes the traffic when the TUN is gone: a TUN without a
// process, which drops all packets. doc.go tells why an unreachable route does not suffice.
func guardSteps(c Config) []step {
	name := c.guard()
	steps := []step{{
		command: "ip tuntap add dev " + name + " mode tun",
		watched: true,
		creates: true,
		apply: func(k *handles) error {
			if l, err := k.LinkByName(name); err == nil && l.Type() == "tuntap" {
				return unix.EEXIST
			} else if err != nil && !isGone(err) {
				return err
			}
			return k.addTUN(name)
		},
		undo: onLink(name, func(k *handles, l netlink.Link) error {
			if l.Type() != "tuntap" {
				return unix.ENODEV // it is not the guard
			}
			return k.LinkDel(l)
		}),
	}, {
		command: fmt.Sprintf("ip link set dev %s alias %q", name, guardAlias),
		apply: onLink(name, func(k *handles, l netlink.Link) error {
			return k.LinkSetAlias(l, guardAlias)
		}),
	}}
	is6 := len(only6(c.Include)) > 0
	steps = append(steps, quietSteps(name, is6)...)
	if is6 {
		steps = append(steps, sysctlStep("net/ipv6/conf/"+name+"/ignore_routes_with_linkdown", "0"))
	}
	steps = append(steps, upStep(name))
	if is6 {
		// Sockets keep the source address of the TUN, which the rules select by. A source on the
		// route does not suffice: the kernel removes it when the address is deleted.
		if a, ok := c.address(netip.PrefixFrom(netip.IPv6Unspecified(), 0)); ok {
			steps = append(steps, addressStep(netip.PrefixFrom(a, a.BitLen()), name))
		}
	}
	return steps
}

// addTUN makes a TUN that belongs to no process. The kernel makes it in the network namespace of
// the calling thread, which may be another than that of the netlink socket: then addTUN fails.
func (k *handles) addTUN(name string) error {
	if ns, err := namespaceID(); err != nil {
		return err
	} else if ns != k.namespace {
		return errors.New("the calling thread is in another network namespace")
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return k.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN})
}

func addressStep(a netip.Prefix, link string) step {
	command := fmt.Sprintf("ip address add %s dev %s", a, link)
	switch {
	case a.Addr().Is6():
		command += " nodad"
	case a.Bits() < 31:
		command += " brd +" // netlink.AddrAdd sets the broadcast address, too
	}
	return step{
		command: command,
		watched: true,
		apply: onLink(link, func(k *handles, l netlink.Link) error {
			err := k.AddrAdd(l, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD})
			if err != nil {
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

// upStep brings an interface up. "nmcli networking off" sets down those of other programs, too, and
// "on" leaves them so.
func upStep(name string) step {
	return step{
		command: "ip link set dev " + name + " up",
		watched: true,
		apply: onLink(name, func(k *handles, l netlink.Link) error {
			if isUp(l) {
				return errIsSet
			}
			return k.LinkSetUp(l)
		}),
	}
}

func isUp(l netlink.Link) bool { return l.Attrs().RawFlags&unix.IFF_UP != 0 }

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenModeNone = 1

// quietSteps turn off link-local addresses, with which the host would send router solicitations and
// listener reports into the interface. On an interface that carries IPv6 they turn it on, even if
// the host has it off by default.
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

// forwarding4 is the parameter by which the kernel forwards IPv4 packets that arrive by an
// interface. A new interface has that of "default"; one of IPv6 counts for all interfaces.
func forwarding4(link string) string { return "net/ipv4/conf/" + link + "/forwarding" }

// forwards4 reports whether the host forwards IPv4 packets, by all interfaces or by an uplink:
// systemd-networkd (256) sets the parameters of single interfaces.
func forwards4(c Config) bool {
	return enabled("net/ipv4/ip_forward") || slices.ContainsFunc(c.Underlay.Uplinks, func(u Uplink) bool {
		return enabled(forwarding4(u.Name))
	})
}

// sysctlStep sets a kernel parameter. It does not write the value that is set already, because
// /proc/sys may be read-only. Programs such as systemd-sysctl set parameters of all interfaces.
func sysctlStep(key, value string) step {
	return step{
		command: fmt.Sprintf("sysctl -qw %s=%s", key, value),
		watched: true,
		apply: func(*handles) error {
			file := filepath.Join("/proc/sys", key)
			b, err := os.ReadFile(file)
			switch {
			case err != nil:
				return err
			case strings.TrimSpace(string(b)) == value:
				return errIsSet
			}
			return os.WriteFile(file, []byte(value), 0)
		},
	}
}

// onLink returns a change of the interface name.
func onLink(name string, change func(*handles, netlink.Link) error) func(*handles) error {
	return func(k *handles) error {
		l, err := k.LinkByName(name)
		if err != nil {
			return err
		}
		return change(k, l)
	}
}

// awaitAddress waits until the host accepts packets for its new address, which takes a local route.
// The kernel adds that of an IPv6 address a moment after the address; a SYN-ACK before it would be
// lost.
func awaitAddress(k *handles, l netlink.Link, a netip.Addr) error {
	const patience = 5 * time.Second
	host := ipNet(netip.PrefixFrom(a, a.BitLen()))
	want := netlink.Route{Table: unix.RT_TABLE_LOCAL, LinkIndex: l.Attrs().Index, Dst: host}
	const fields = netlink.RT_FILTER_TABLE | netlink.RT_FILTER_OIF | netlink.RT_FILTER_DST
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		routes, err := k.RouteListFiltered(familyOf(host), &want, fields)
		if err == nil && len(routes) > 0 {
			return nil
		}
		if time.Since(start) > patience {
			return fmt.Errorf("address %s not usable after %v", a, patience)
		}
	}
}
