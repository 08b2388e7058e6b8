package web

import (
	"context"
	"net"
	"syscall"
)

// listenPrivately listens at a file that has socketMode, or less, from its beginning: one who
// connects before chmod(2) would be served. Linux makes the file with the mode of the socket
// (unix(7)).
func listenPrivately(network, addr string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) })
	}}
	return config.Listen(context.Background(), network, addr)
}
