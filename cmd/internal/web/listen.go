package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"syntap/cmd/internal/hint"
)

// split returns network and address of a configured address, for package net.
func split(address string) (network, addr string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

// Listen listens on an address: that of an IP with a port, or "unix:" with a path, whose file goes
// when the listener is closed.
func Listen(address string) (net.Listener, error) {
	network, addr := split(address)
	listen := net.Listen
	if network == "unix" {
		removeStale(addr)
		listen = listenPrivately
	}
	l, err := listen(network, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, hint.Fail(fmt.Errorf("listen on %s: %w", address, err),
			"stop the program that has it, or set another http.listen")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, hint.Fail(fmt.Errorf("listen on %s: %w", address, err),
			"set http.listen to an address of this host, such as 127.0.0.1:9153")
	case errors.Is(err, fs.ErrNotExist):
		return nil, hint.Fail(fmt.Errorf("listen on %s: %w", address, err), "mkdir -p "+filepath.Dir(addr))
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if network == "unix" {
		if err := os.Chmod(addr, socketMode); err != nil { // the umask may have taken the group's right
			l.Close()
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
	}
	return l, nil
}

// socketMode lets owner and group connect.
const socketMode = 0o660

// removeStale removes the socket of a process that has died.
func removeStale(path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // otherwise listening says why not
	}
}
