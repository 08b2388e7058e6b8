//go:build linux

package stack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/sched"
	"syntap/tun/packet"
)

// attemptDelay is how long a connection attempt is alone before the next begins: the Connection
// Attempt Delay of RFC 8305 §5. It begins at once where one has failed.
const attemptDelay = 250 * time.Millisecond

// attempt is one of several sockets that connect for a connection.
type attempt struct {
	watch  sched.Watch
	fd     int
	mss    packet.MSS
	target netip.AddrPort
	done   chan<- *attempt // has room for each
	told   atomic.Bool     // it is in done
}

// Ready implements sched.Watcher: the socket has connected, or failed.
func (a *attempt) Ready(events uint32) {
	if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 && !a.told.Swap(true) {
		a.done <- a
	}
}

// start begins an attempt. It may fail at once.
func (s *Stack) start(c *conn, target netip.AddrPort, done chan<- *attempt) (*attempt, error) {
	a := &attempt{target: target, done: done}
	var err error
	if a.fd, a.mss, err = c.open(target); err != nil {
		return nil, err
	}
	if err := s.poller.Add(a.fd, &a.watch, a, streamEvents); err != nil {
		s.closeSocket(a.fd)
		return nil, err
	}
	return a, nil
}

// dialFirst dials several addresses of the far side, one after the other, as RFC 8305 §5 has it,
// and gives the connection the socket that is connected first. It runs on a goroutine of its own.
func (c *conn) dialFirst(targets []netip.AddrPort) {
	ctx, abandon := context.WithCancel(context.Background())
	defer abandon()
	c.setAbandon(abandon)
	won, err := c.stack.firstOf(ctx, c, targets)
	c.setAbandon(nil)
	if won != nil {
		err = c.adopt(won.fd, won.mss, won.target, c.stack.poller.Hand)
	}
	if ctx.Err() != nil {
		err = nil // the handshake has ended already
	}
	c.dialledBefore(err)
}

func (c *conn) setAbandon(f context.CancelFunc) {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	if c.handshake.abandon = f; f != nil && c.handshake.unwanted {
		f()
	}
}

// race is the attempts to connect for one connection. One goroutine has it.
type race struct {
	c       *conn
	targets []netip.AddrPort // to come
	open    []*attempt       // in order
	done    chan *attempt

	err    error // of those that have failed: a refusal or, if none has refused, the first
	failed netip.AddrPort
}

// firstOf returns the first attempt that is connected. Without one, the error is that of an address
// that has refused or, if none has, of the first; or ctx has ended.
func (s *Stack) firstOf(ctx context.Context, c *conn, targets []netip.AddrPort) (won *attempt, err error) {
	r := race{c: c, targets: targets, done: make(chan *attempt, len(targets))}
	defer func() {
		for _, a := range r.open {
			s.closeSocket(a.fd)
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	for len(r.targets) > 0 || len(r.open) > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-next.C:
			next.Reset(r.next())
		case a := <-r.done:
			r.open = slices.DeleteFunc(r.open, func(o *attempt) bool { return o == a })
			errno := connectError(a.fd)
			if errno == 0 {
				return a, nil
			}
			s.closeSocket(a.fd)
			if err = errno; errno == unix.EACCES {
				err = errProhibited
			}
			r.fail(a.target, err)
			next.Reset(0)
		}
	}
	return nil, r.err
}

// next begins the next attempt, and returns the time until the one after it.
func (r *race) next() time.Duration {
	if len(r.targets) == 0 {
		return attemptDelay
	}
	target := r.targets[0]
	r.targets = r.targets[1:]
	a, err := r.c.stack.start(r.c, target, r.done)
	if err != nil {
		r.fail(target, err)
		return 0
	}
	r.open = append(r.open, a)
	r.noteTarget()
	return attemptDelay
}

func (r *race) fail(target netip.AddrPort, err error) {
	refused := errors.Is(err, unix.ECONNREFUSED) && !errors.Is(r.err, unix.ECONNREFUSED)
	if r.err == nil || refused {
		r.err, r.failed = err, target
	}
	r.noteTarget()
}

// noteTarget notes the address that is the reason if the handshake ends now.
func (r *race) noteTarget() {
	if len(r.open) > 0 {
		r.c.setTarget(r.open[0].target)
	} else {
		r.c.setTarget(r.failed)
	}
}

// errProhibited is the error of a connect that ICMPv6 "administratively prohibited" has answered.
var errProhibited = fmt.Errorf("%w: ICMPv6 administratively prohibited", unix.EACCES)

// connectError returns the error with which the connect of a socket has ended, 0 if it has made its
// connection.
func connectError(fd int) syscall.Errno {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unix.EBADF
	}
	return syscall.Errno(errno)
}
