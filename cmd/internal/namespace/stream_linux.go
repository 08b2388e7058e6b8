package namespace

import (
	"fmt"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// checkStreams refuses to hand a command a socket of the host's network, as inetd does. A socket
// stays in the network that it was made in, and any holder may connect it anew (connect(2),
// AF_UNSPEC): past the TUN.
func checkStreams() error {
	for fd, name := range []string{"input", "output", "error"} {
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil || domain == unix.AF_UNIX { // no socket, or one that leads to no network
			continue
		}
		return hint.Usage(fmt.Errorf("standard %s is a socket of this host's network, which the command could connect to others", name),
			"put a pipe between them, as cat does: cat | syntap exec -- CMD | cat")
	}
	return nil
}
