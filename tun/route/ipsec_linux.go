package route

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
)

// ipsecNotices report IPsec policies for traffic of other machines, which the router's own sockets
// do not match: their packets would leave unencrypted.
func ipsecNotices(k *handles, c Config) (notices []Notice) {
	for _, family := range families(c.Include) {
		policies, err := dump(func() ([]netlink.XfrmPolicy, error) { return k.XfrmPolicyList(family) })
		if err != nil {
			continue // the kernel has no IPsec
		}
		for _, p := range policies {
			source, destination := prefix(p.Src, family), prefix(p.Dst, family)
			isOfMachines := source.Bits() > 0 && slices.ContainsFunc(c.Sources, source.Overlaps)
			if p.Dir != netlink.XFRM_DIR_OUT || len(p.Tmpls) == 0 || !isOfMachines ||
				!enters(c, destination) {
				continue
			}
			notices = append(notices, Notice{
				Text: fmt.Sprintf("the host's IPsec policy from %s to %s selects by the address of "+
					"a machine, which the router's own sockets do not share: what enters the TUN "+
					"leaves past the policy", source, destination),
				Hint: fmt.Sprintf("add %s to route.exclude", destination),
			})
		}
	}
	return notices
}
