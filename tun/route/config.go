package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Config describes the changes of the host by which traffic enters a TUN interface.
//
// Configure gives the interface its addresses and brings it up. The other changes depend on Table.
//
// With a Table other than 0 the router shares the host's network namespace. For each address family
// of Include the table holds a route to the TUN for each prefix, and a throw route for each prefix
// of Exclude. An nftables table named for the interface gives packets that enter the TUN the mark
// Underlay.Enter, and one rule leads those to the routing table:
//
//	Priority    from all iif Name goto Priority+7
//	Priority+1  from all fwmark ENTER lookup Table
//	Priority+2  from all to 198.18.0.0/15 fwmark Mark goto Priority+7
//	Priority+3  from all to 198.18.0.0/15 lookup Table
//	Priority+7  from all nop
//
// All other packets, those of the router's own sockets included, follow the host's routing as if
// the router were not there. The router's sockets carry Mark, which no rule of the router leads
// anywhere. A rule of the host that selects by single bits of Mark is bypassed (Underlay.Skips),
// and one that does not select for them has a copy beside it (Underlay.Ways).
// The rule for iif keeps packets that leave the TUN for another machine from entering it again.
// 198.18.0.0/15 is for benchmarks (RFC 2544 §C.2.2), so no host routes it: addresses that stand for
// names are taken from it.
//
// ByRules is for kernels without connection tracking. Rules alone then lead all traffic into the
// table, except:
//
//	Priority    from all fwmark Mark goto Priority+7
//	Priority+3  from all iif Name goto Priority+7
//	Priority+4  from ADDRESS lookup Table               each of Addresses
//	Priority+4  from 0.0.0.0 iif lo goto Priority+6     with KeepInbound
//	Priority+5  from all iif lo goto Priority+7         with KeepInbound
//	Priority+6  from all uidrange UIDs lookup Table
//	Priority+7  from all nop
//
// The package comment explains both, and Closed.
//
// Include takes precedence over the host's routes, those of connected networks too. These packets
// stay outside:
//   - packets to the host's own addresses, to broadcasts and, for IPv6, to multicast groups;
//   - packets to IPv4 multicast and the limited broadcast, unless Include names a prefix in them;
//   - packets to IPv6 link-local addresses, which always name an interface;
//   - packets of sockets bound to another interface, which Enforce refuses or counts;
//   - packets with the mark of a VPN's own sockets (Underlay.Bypass), and those of the kernel's
//     tunnels and of routing protocols (OSPF, VRRP).
//
// With Table 0 the router has the network namespace to itself: the prefixes of Include are routed
// in the main table, and there are no rules. With an empty Include there are neither routes nor
// rules: the operator routes.
//
// On a kernel without IPv6 the IPv6 parts are left out.
type Config struct {
	Name      string         // of the TUN interface, which exists
	Addresses []netip.Prefix // of the interface
	Include   []netip.Prefix // destinations that enter the TUN
	Mark      uint32         // of the router's own sockets; not 0 where rules are made
	// Table is the routing table of the router's own; 0 means the main table. Routers beside each
	// other have tables whose numbers differ, but not by a multiple of 94.
	Table    int
	Priority int // of the first rule

	// The following fields count only where there are rules.

	Exclude []netip.Prefix // destinations that never enter the TUN, even if Include names them
	// IncludeUIDs are the users whose traffic enters the TUN; none means all. Forwarded packets
	// count as user 0's.
	IncludeUIDs []UIDRange
	ExcludeUIDs []UIDRange     // users whose traffic does not enter
	Sources     []netip.Prefix // other machines whose traffic enters, by any interface
	KeepInbound bool           // replies to connections that began outside stay outside
	Closed      bool           // without the TUN, its traffic is dropped
	Enforce     Enforce        // for traffic that should have entered the TUN and did not
	ByRules     bool           // decide without connection tracking
	Sent        uint16         // group to which nftables logs the first packets of the router's flows; 0 = none
	StateDir    string         // directory of the journal, for Cleanup; "" keeps none
	// Resolvers returns the host's nameservers, which Enforce lets pass. Watch follows them. It is
	// called by several goroutines; nil means none.
	Resolvers func() []netip.Addr `json:"-"`

	Underlay Underlay // found by Configure
	tracked  tracked  // families of which connection tracking has seen connections begin
	open     []flow   // connections that were open before, which stay outside; of the table alone
}

// InUseError is an ErrInUse, with a remedy. At most one of Table and Priority is not 0.
type InUseError struct {
	By       string // the rule, route or nftables table of another owner
	Table    int    // a routing table that is free
	Priority int    // one from which on all priorities that a run takes are free
}

func (e *InUseError) Error() string { return ErrInUse.Error() + ": " + e.By }

func (e *InUseError) Unwrap() error { return ErrInUse }

// UIDRange is a range of user ids, both ends included.
type UIDRange struct{ First, Last uint32 }

// MarshalYAML returns the range as it is written in a config.
func (r UIDRange) MarshalYAML() (any, error) {
	if r.First == r.Last {
		return r.First, nil
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last), nil
}

// Errors that Configure and Watch wrap.
var (
	// ErrInUse means that the table or the priorities have another owner: another instance of the
	// router, or the operator.
	ErrInUse = errors.New("routing table or rule priority is in use")
	// ErrRunning means that another instance has this interface name in this network namespace.
	ErrRunning = errors.New("another instance is running")
	// ErrGone means that the interface was deleted.
	ErrGone = errors.New("interface was deleted")
	// ErrJournal means that a journal has something else than the configs of runs.
	ErrJournal = errors.New("journal cannot be read")
)

// hasRules reports whether rules lead traffic into the TUN.
func (c Config) hasRules() bool { return c.Table != 0 && len(c.Include) > 0 }

// resolvers returns the nameservers that Enforce lets pass.
func (c Config) resolvers() []netip.Addr {
	if c.Resolvers == nil || c.ByRules || c.Enforce != EnforceReject {
		return nil
	}
	return c.Resolvers()
}

// guard returns the name of the interface that takes the traffic when the TUN is gone, at most 15
// bytes.
func (c Config) guard() string { return fmt.Sprintf("guard%d", c.Table) }

// address returns the first address of the interface in the family of p.
func (c Config) address(p netip.Prefix) (netip.Addr, bool) {
	i := slices.IndexFunc(c.Addresses, func(a netip.Prefix) bool {
		return a.Addr().Is4() == p.Addr().Is4()
	})
	if i < 0 {
		return netip.Addr{}, false
	}
	return c.Addresses[i].Addr(), true
}

// validate refuses a config whose rules would lead other traffic into the TUN than it describes.
func (c Config) validate() error {
	if !c.hasRules() {
		return nil
	}
	if c.Mark == 0 {
		return errors.New("the mark 0 is that of every socket")
	}
	for _, p := range c.Include {
		// A socket without an address of the TUN would take another interface's, and look like that
		// of a server.
		if _, ok := c.address(p); !ok && c.KeepInbound && c.ByRules {
			const need = "keeping replies outside needs an address of the TUN in the family of"
			return fmt.Errorf("%s %s", need, p)
		}
	}
	return nil
}
