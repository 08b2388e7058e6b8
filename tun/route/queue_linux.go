package route

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// QueueDrops returns how many outbound packets the kernel has dropped because they came faster than
// the interface was read: nobody else has seen them. The interface is one of the calling thread's
// network namespace.
func QueueDrops(name string) (uint64, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("find interface %s: %w", name, err)
	}
	return link.Attrs().Statistics.TxDropped, nil
}
