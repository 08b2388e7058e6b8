package tun

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Cleanup removes the rules and routes that a dead run with this configuration has left in the calling thread's network
// namespace; none is no error. It wraps ErrRoutingInUse, and changes nothing, while an instance with this table or these
// priorities is alive.
func Cleanup(c HostConfig) error {
	if c.Table == 0 {
		return nil // routes in the main table went with the interface
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	defer nl.Close()
	return reclaim(nl, c)
}

// reclaim makes the table and the priorities of c free, of both families whatever Include says now. A dead run leaves
// exactly our rules, and no route to an interface, because its TUN is gone.
func reclaim(nl *netlink.Handle, c HostConfig) error {
	families := []int{netlink.FAMILY_V4}
	if hasIPv6() {
		families = append(families, netlink.FAMILY_V6)
	}
	var leftovers []*netlink.Rule
	for _, family := range families {
		found, err := leftoverRules(nl, c, family)
		if err != nil {
			return err
		}
		leftovers = append(leftovers, found...)
		if err := checkTable(nl, c.Table, family); err != nil {
			return err
		}
	}
	for _, r := range leftovers {
		if err := nl.RuleDel(r); err != nil && !isGone(err) {
			return fmt.Errorf("remove leftover %s: %w", ruleText(r), err)
		}
	}
	for _, p := range localOnly {
		if err := nl.RouteDel(throwRoute(p, c.Table)); err != nil && !isGone(err) {
			return fmt.Errorf("remove leftover throw route %s table %d: %w", p, c.Table, err)
		}
	}
	return nil
}

// leftoverRules returns those of our rules that exist. Any other rule at our priorities is an error.
func leftoverRules(nl *netlink.Handle, c HostConfig, family int) ([]*netlink.Rule, error) {
	ours := rules(c, family)
	found, err := dump(func() ([]netlink.Rule, error) { return nl.RuleList(family) })
	if err != nil {
		return nil, fmt.Errorf("list %s rules: %w", familyName(family), err)
	}
	var leftovers []*netlink.Rule
	for _, r := range found {
		i := r.Priority - c.Priority
		if i < 0 || i >= len(ours) {
			continue
		}
		if !sameRule(r, *ours[i]) {
			return nil, fmt.Errorf("%w: %s", ErrRoutingInUse, ruleText(&r))
		}
		leftovers = append(leftovers, ours[i])
	}
	return leftovers, nil
}

// sameRule compares a rule that the kernel has listed with one of ours.
func sameRule(listed, ours netlink.Rule) bool {
	if listed.Mask != nil && *listed.Mask == 0xffffffff {
		listed.Mask = nil // what the kernel makes of a mark without a mask
	}
	listed.Type = ours.Type // the netlink package does not read it
	listed.Protocol = ours.Protocol
	return reflect.DeepEqual(listed, ours)
}

// checkTable returns an error when the table has a route to an interface.
func checkTable(nl *netlink.Handle, table, family int) error {
	routes, err := dump(func() ([]netlink.Route, error) {
		return nl.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("list %s routes of table %d: %w", familyName(family), table, err)
	}
	for _, r := range routes {
		if link, err := nl.LinkByIndex(r.LinkIndex); err == nil {
			return fmt.Errorf("%w: table %d routes %s to interface %s", ErrRoutingInUse, table, r.Dst, link.Attrs().Name)
		}
	}
	return nil
}

// dump asks for a list again when it has changed under the kernel's hands.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}
