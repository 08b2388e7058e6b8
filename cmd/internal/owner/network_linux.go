package owner

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Network is a network namespace, as a [Finder] asks the kernel about its sockets. It stays the one
// that it was opened in wherever its files go: exec opens it in the namespace of its command.
type Network struct {
	// Root is the process that all in the network descend from, as exec's first one: those are
	// looked at before others. 0 = there is none.
	Root int

	files  []*os.File
	device int
	place  string // the text of /proc/PID/ns/net of processes in the network; "" = not known
}

// The places of files in a Network. The netlink sockets are two, because one can have one answer
// at a time. The tables list ping sockets and raw sockets, about which netlink says nothing, or not
// everywhere (icmp(7), raw(7), proc_net(5)).
const (
	netlink4 = iota
	netlink6
	tablePing4
	tablePing6
	tableRaw4
	tableRaw6
	networkFiles
)

// tables are the names of the tables in /proc/thread-self/net.
var tables = map[int]string{tablePing4: "icmp", tablePing6: "icmp6", tableRaw4: "raw", tableRaw6: "raw6"}

// OpenNetwork opens the network namespace of the calling thread, in which clients send through an
// interface; one may bind its socket to that. The empty name stands for no interface.
func OpenNetwork(device string) (*Network, error) {
	n := &Network{files: make([]*os.File, networkFiles)}
	n.place, _ = os.Readlink("/proc/thread-self/ns/net")
	if device != "" {
		link, err := net.InterfaceByName(device)
		if err != nil {
			return nil, fmt.Errorf("find interface %s: %w", device, err)
		}
		n.device = link.Index
	}
	for i := range n.files {
		var err error
		if name, ok := tables[i]; ok {
			n.files[i], err = openTable(name)
		} else {
			n.files[i], err = openNetlink()
		}
		if err != nil {
			_ = n.Close()
			return nil, err
		}
	}
	return n, nil
}

// openTable opens a table of the thread's network namespace. Without IPv6 there are no tables of
// it: /dev/null stands for one.
func openTable(name string) (*os.File, error) {
	f, err := os.Open("/proc/thread-self/net/" + name)
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.Open(os.DevNull)
	}
	return f, err
}

func openNetlink() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	f := os.NewFile(uintptr(fd), "sock_diag")
	timeout := &unix.Timeval{Usec: 100_000}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, timeout); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	return f, nil
}

// NetworkOf returns the network with the given files and the index of the interface, which
// [Network.Files] and [Network.Device] of another process have returned. It takes them over.
func NetworkOf(files []*os.File, device int) (*Network, error) {
	n := &Network{files: files, device: device}
	if len(files) != networkFiles {
		_ = n.Close()
		return nil, fmt.Errorf("a network has %d files, not %d", networkFiles, len(files))
	}
	return n, nil
}

// Files returns the files, to be passed to another process.
func (n *Network) Files() []*os.File { return n.files }

// Device returns the index of the interface, 0 without one.
func (n *Network) Device() int { return n.device }

// Close closes the files.
func (n *Network) Close() error {
	var errs []error
	for _, f := range n.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
