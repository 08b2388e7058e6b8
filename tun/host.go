package tun

import (
	"errors"
	"net/netip"
)

// HostConfig says what Configure changes on the host so that traffic enters a TUN interface.
//
// The addresses go to the interface, which comes up. What else happens depends on Table.
//
// With a Table of its own the router shares the host's namespace: Include decides what enters the TUN, and the router's
// own sockets, which carry Mark, never do. For each address family of Include the table holds a route to the TUN for each
// prefix, and five rules lead to it or around it:
//
//	Priority    from all fwmark Mark lookup main
//	Priority+1  from all fwmark Mark lookup default
//	Priority+2  from all fwmark Mark unreachable
//	Priority+3  from all iif Name lookup main
//	Priority+4  from all lookup Table
//
// A marked packet finds its way in the host's own tables or nowhere: while the uplink is down its dial fails, instead of
// entering the TUN and being dialled again. The rule for iif keeps what comes out of the TUN for another machine, such as
// a gateway's replies, from going back in.
//
// For everything else Include wins over the host's routes, those of connected networks too. What stays outside:
//   - the host's own addresses and, for IPv6, multicast: the table "local" comes first;
//   - IPv4 multicast and the limited broadcast, unless Include names a prefix within them: throw routes in the table leave
//     them to the host's routes, so that discovery on the local network goes on working;
//   - sockets bound to another interface, and with them IPv6 link-local destinations, which always name one: a route to
//     the TUN does not fit them.
//
// With Table 0 the namespace is the router's own: prefixes of Include are routed in the main table, and there are no rules.
// With an empty Include there are neither routes nor rules in any case: the operator routes.
//
// On a kernel without IPv6 the IPv6 parts are left out.
type HostConfig struct {
	Name      string         // of the TUN interface, which exists
	Addresses []netip.Prefix // of the interface
	Include   []netip.Prefix // destinations that enter the TUN
	Mark      uint32         // of the router's own sockets; not 0 where rules are made
	Table     int            // routing table of the router's own; 0 = main
	Priority  int            // of the first rule
}

// ErrRoutingInUse is wrapped by Configure and Cleanup when the table has a route to an interface or the priorities hold
// rules that are not the router's: another instance is running, or the operator uses them.
var ErrRoutingInUse = errors.New("routing table or rule priority is in use")
