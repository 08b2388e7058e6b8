package route

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// QueueDrops returns the number of outbound packets that the kernel has dropped because they
// arrived faster than the router read them. The interface is in the calling thread's network
// namespace.
func QueueDrops(name string) (uint64, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("find interface %s: %w", name, err)
	}
	return link.Attrs().Statistics.TxDropped, nil
}
