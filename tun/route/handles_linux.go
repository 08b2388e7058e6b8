package route

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// handles are the sockets by which the host is changed, in one network namespace.
type handles struct {
	*netlink.Handle
	nexthops  *nl.SocketHandle
	namespace uint64            // see namespaceID
	tables    *nft.Kernel       // nil until openTables
	texts     map[string]string // of the tables that were made, by name
	open      *[]flow           // TCP connections that were open before the first; nil until then
}

// openHandles opens the handles in the calling thread's network namespace.
func openHandles() (*handles, error) {
	ns, err := namespaceID()
	if err != nil {
		return nil, fmt.Errorf("identify network namespace: %w", err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	nexthops, err := openNexthops()
	if err != nil {
		h.Close()
		return nil, err
	}
	return &handles{Handle: h, nexthops: nexthops, namespace: ns, texts: make(map[string]string)}, nil
}

// openTables opens nftables.
func (k *handles) openTables() (err error) {
	if k.tables == nil {
		k.tables, err = nft.Open()
	}
	return err
}

func (k *handles) close() {
	k.Handle.Close()
	k.nexthops.Close()
	if k.tables != nil {
		_ = k.tables.Close() // loses nothing
	}
}
