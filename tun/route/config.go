package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Config says what Configure changes on the host so that traffic enters a TUN interface.
//
// The addresses go to the interface, which comes up. What else happens depends on Table.
//
// With a Table of its own the router shares the host's namespace. For each address family of
// Include the table holds a route to the TUN for each prefix, and a throw route for each of
// Exclude. An nftables table named for the interface gives packets that enter the TUN the mark
// Underlay.Enter, and one rule leads those to the table:
//
//	Priority    from all iif Name goto Priority+7
//	Priority+1  from all fwmark ENTER lookup Table
//	Priority+2  from all to 198.18.0.0/15 fwmark Mark goto Priority+7
//	Priority+3  from all to 198.18.0.0/15 lookup Table
//	Priority+7  from all nop
//
// Everything else, the router's own sockets too, takes part in the host's routing as if the router
// were not there. Those sockets carry Mark, which no rule of the router's leads anywhere. A rule of
// the host that selects by single bits of it is passed over (Underlay.Skips). The rule for iif
// keeps packets that come out of the TUN for another machine from going back in. 198.18.0.0/15 is
// for benchmarks (RFC 2544 §C.2.2), so no host routes it anywhere: addresses that stand for names
// are taken from it.
//
// ByRules is for kernels without connection tracking. Then rules decide alone: they lead all
// traffic into the table, but for
//
//	Priority    from all fwmark Mark goto Priority+7
//	Priority+3  from all iif Name goto Priority+7
//	Priority+4  from ADDRESS lookup Table               each of Addresses
//	Priority+4  from 0.0.0.0 iif lo goto Priority+6     with KeepInbound
//	Priority+5  from all iif lo goto Priority+7         with KeepInbound
//	Priority+6  from all uidrange UIDs lookup Table
//	Priority+7  from all nop
//
// doc.go tells how both work, and what Closed adds.
//
// Include wins over the host's routes, those of connected networks too. What stays outside:
//   - the host's own addresses, broadcasts and, for IPv6, multicast;
//   - IPv4 multicast and the limited broadcast, unless Include names a prefix within them;
//   - IPv6 link-local destinations, which always name an interface;
//   - sockets bound to another interface, which Enforce refuses or counts;
//   - packets that carry a mark by which a VPN's own sockets are told (Underlay.Bypass), and those
//     of the kernel's tunnels.
//
// With Table 0 the namespace is the router's own: prefixes of Include are routed in the main table,
// and there are no rules. With an empty Include there are neither routes nor rules in any case: the
// operator routes.
//
// On a kernel without IPv6 the IPv6 parts are left out.
type Config struct {
	Name      string         // of the TUN interface, which exists
	Addresses []netip.Prefix // of the interface
	Include   []netip.Prefix // destinations that enter the TUN
	Mark      uint32         // of the router's own sockets; not 0 where rules are made
	Table     int            // routing table of the router's own; 0 = main. Those of routers side by side differ, but not by a multiple of 95
	Priority  int            // of the first rule

	// The rest counts only where there are rules.
	Exclude     []netip.Prefix // destinations that never enter the TUN, whatever Include says
	IncludeUIDs []UIDRange     // users whose traffic enters the TUN; none = all. Forwarded packets count as user 0's
	ExcludeUIDs []UIDRange     // users whose traffic does not
	Sources     []netip.Prefix // other machines whose traffic enters, whichever interface it comes in by
	Resolvers   []netip.Addr   // the host's nameservers, which Enforce leaves alone
	KeepInbound bool           // replies to connections that began outside stay outside
	Closed      bool           // traffic that would enter the TUN goes nowhere when the TUN is gone
	Enforce     Enforce        // for traffic that should have entered the TUN and did not
	ByRules     bool           // decide without connection tracking
	StateDir    string         // where the journal stands, for Cleanup; "" = none is kept

	Underlay Underlay // found by Configure
	tracked  bool     // connection tracking has seen what other machines had open before
	open     []flow   // connections that were open before, which stay outside
}

// UIDRange is a range of user ids, both ends included.
type UIDRange struct{ First, Last uint32 }

// Errors that Configure and Watch wrap.
var (
	// ErrInUse: the table or the priorities hold what is not the router's. Another instance is
	// running, or the operator uses them.
	ErrInUse = errors.New("routing table or rule priority is in use")
	// ErrRunning: another instance has this interface name in this network namespace.
	ErrRunning = errors.New("another instance is running")
	// ErrGone: the interface was deleted.
	ErrGone = errors.New("interface was deleted")
)

// hasRules tells whether traffic is led into the TUN by rules.
func (c Config) hasRules() bool { return c.Table != 0 && len(c.Include) > 0 }

// guard returns the name of the interface that takes traffic when the TUN is gone, at most 15
// bytes.
func (c Config) guard() string { return fmt.Sprintf("guard%d", c.Table) }

// address returns the first address of the interface in the family of p.
func (c Config) address(p netip.Prefix) (netip.Addr, bool) {
	i := slices.IndexFunc(c.Addresses, func(a netip.Prefix) bool { return a.Addr().Is4() == p.Addr().Is4() })
	if i < 0 {
		return netip.Addr{}, false
	}
	return c.Addresses[i].Addr(), true
}

// validate refuses what would route traffic other than it says.
func (c Config) validate() error {
	if !c.hasRules() {
		return nil
	}
	if c.Mark == 0 {
		return errors.New("the mark 0 is that of every socket")
	}
	for _, p := range c.Include {
		// A socket without an address of the TUN would get another interface's, and be taken for
		// one of a server.
		if _, ok := c.address(p); !ok && c.KeepInbound && c.ByRules {
			return fmt.Errorf("keeping replies outside needs an address of the TUN in the family of %s", p)
		}
	}
	return nil
}

// enters returns the users whose traffic enters the TUN: those of include, or everybody, without
// those of exclude. It returns a single range of all ids where no user is left out.
func enters(include, exclude []UIDRange) []UIDRange {
	const last = 1<<32 - 2 // 1<<32 - 1 stands for no user (uid_t -1)
	if len(include) == 0 {
		include = []UIDRange{{0, last}}
	}
	left := slices.Clone(include)
	for _, x := range exclude {
		var rest []UIDRange
		for _, r := range left {
			if x.Last < r.First || r.Last < x.First {
				rest = append(rest, r)
				continue
			}
			if r.First < x.First {
				rest = append(rest, UIDRange{r.First, x.First - 1})
			}
			if x.Last < r.Last {
				rest = append(rest, UIDRange{x.Last + 1, r.Last})
			}
		}
		left = rest
	}
	return left
}

// everybody tells whether uids is what enters returns without restrictions.
func everybody(uids []UIDRange) bool { return slices.Contains(uids, UIDRange{0, 1<<32 - 2}) }

// Cleaned is what Cleanup has done about one run.
type Cleaned struct {
	Name     string   // of the interface
	Running  bool     // left alone: it is alive
	Kept     bool     // left alone: it stays closed
	Commands []string // that would have done the same
}
