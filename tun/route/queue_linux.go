package route

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// QueueDrops returns the number of outbound packets that the kernel has dropped because they
// arrived faster than the router read them. The interface is in the calling thread's network
// namespace.
func QueueDrops(name string) (uint64, error) {
	s, err := statistics(name)
	return s.TxDropped, err
}

// FramesRead returns the number of frames that routers have read from the interface, which is in
// the calling thread's network namespace.
func FramesRead(name string) (uint64, error) {
	s, err := statistics(name)
	return s.TxPackets, err
}

func statistics(name string) (netlink.LinkStatistics, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return netlink.LinkStatistics{}, fmt.Errorf("find interface %s: %w", name, err)
	}
	return *link.Attrs().Statistics, nil
}
