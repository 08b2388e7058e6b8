//go:build linux

package sockmem

import (
	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// TCP returns the state of a connection (TCP_INFO), and whether there is one. Unlike the function
// of package unix it allocates nothing, because it is called for idle connections, too.
func TCP(fd int) (info unix.TCPInfo, ok bool) {
	return info, raw.Option(fd, unix.IPPROTO_TCP, unix.TCP_INFO, &info) == 0
}
