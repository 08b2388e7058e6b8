//go:build linux

package stack

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
)

// ways remembers which address of this host the datagrams to each target leave from. It belongs to
// the read loop.
type ways struct {
	routes *dial.Routes
	known  map[netip.AddrPort]way
	last   way // most datagrams go where the one before went
}

type way struct {
	target netip.AddrPort
	local  netip.Addr
	asked  time.Duration // when, on nat's clock
}

// What the kernel has said of a target holds for wayAge, so that a host whose routes or addresses
// change carries on after that; and maxWays of them are remembered, beyond which all are asked for
// again.
const (
	wayAge  = time.Second
	maxWays = 4096
)

func newWays(d *dial.Dialer) *ways {
	return &ways{routes: d.NewRoutes(), known: make(map[netip.AddrPort]way)}
}

// local returns the address that a datagram to target leaves from at the time now, or why it does
// not leave.
func (w *ways) local(target netip.AddrPort, now time.Duration) (netip.Addr, error) {
	if w.last.target != target {
		w.last = w.known[target]
	}
	if w.last.target == target && now-w.last.asked < wayAge {
		return w.last.local, nil
	}
	local, err := w.routes.Source(target)
	if err != nil {
		return local, err
	}
	if len(w.known) >= maxWays {
		clear(w.known)
	}
	w.last = way{target, local, now}
	w.known[target] = w.last
	return local, nil
}

// leavesFrom returns the address that a client's datagram to target leaves from: its own, where it
// keeps that.
func (n *nat) leavesFrom(client netip.Addr, target netip.AddrPort, now time.Duration) (netip.Addr, error) {
	if n.o.KeepSource(client) {
		return client, nil
	}
	return n.ways.local(target, now)
}

// forget has the kernel asked again, and reports whether that may give another answer.
func (w *ways) forget(target netip.AddrPort) bool {
	_, ok := w.known[target]
	delete(w.known, target)
	w.last = way{}
	return ok
}

// errnoOf returns the error number in an error of a host socket.
func errnoOf(err error) syscall.Errno {
	errno := unix.EIO
	errors.As(err, &errno)
	return errno
}
