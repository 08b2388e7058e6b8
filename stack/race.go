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

// Where a server has several addresses, they are dialled one after the other, as RFC 8305 §5 has
// it. The first is dialled like an only one, since it mostly accepts. Where it has failed, or has
// not accepted within attemptDelay, its socket and those for the others become a race.

// setRest keeps the addresses to dial beside the first, in place of those of an earlier dial.
func (c *conn) setRest(targets []netip.AddrPort) {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	h := c.handshake
	if h == nil {
		return
	}
	h.rest, h.early = targets, nil
	if h.hurry != nil {
		h.hurry.Stop()
		h.hurry = nil
	}
	if len(targets) > 0 {
		h.hurry = time.AfterFunc(attemptDelay, c.hurry)
	}
}

// hurry begins the race, if the first address has not accepted yet.
func (c *conn) hurry() {
	s := c.stack
	s.mu.Lock()
	if c.phase.Load() != synSent || len(c.handshake.rest) == 0 {
		s.mu.Unlock()
		return
	}
	// Still; or this host has failed, and the client tries again; or the answer is held back.
	if c.handshake.dialling || c.fd < 0 || isConnected(c.fd) {
		c.handshake.hurry.Reset(attemptDelay)
		s.mu.Unlock()
		return
	}
	fd, mss, target := c.fd, c.mss, c.upstream.remote
	c.fd = -1 // takeRest would close it
	r := c.takeRest(nil)
	s.mu.Unlock()
	a := &attempt{fd: fd, mss: mss, target: target, done: r.done}
	r.open = append(r.open, a)
	_ = s.poller.Hand(fd, &a.watch, a, streamEvents) // fails only for a socket that is closed
	r.run()
}

// dialRest begins the race after an error of the first address. It reports false where there are no
// others.
func (c *conn) dialRest(err error) bool {
	c.stack.mu.Lock()
	r := c.takeRest(err)
	c.stack.mu.Unlock()
	r.run()
	return r != nil
}

// takeRest returns the race of the addresses beside the first, which has ended with err, or nil if
// there are none; its run follows. Stack.mu is held.
func (c *conn) takeRest(err error) *race {
	s, h := c.stack, c.handshake
	if h == nil || c.phase.Load() != synSent || h.unwanted || len(h.rest) == 0 {
		return nil
	}
	r := &race{c: c, targets: h.rest, done: make(chan *attempt, 1+len(h.rest))}
	r.err, r.failed = err, c.upstream.remote
	delete(s.upstreams, c.upstream)
	s.closeSocket(c.fd)
	c.fd, h.rest, h.dialling = -1, nil, true
	s.live.Add(1)
	return r
}

// run begins the next attempt, and has a goroutine do the rest. A nil race has nothing to do.
func (r *race) run() {
	if r == nil {
		return
	}
	wait := r.next()
	go func() {
		defer r.c.stack.live.Done()
		r.c.finishRace(r, wait)
	}()
}

func (c *conn) finishRace(r *race, wait time.Duration) {
	ctx, abandon := context.WithCancel(context.Background())
	defer abandon()
	c.setAbandon(abandon)
	won, err := r.first(ctx, wait)
	c.setAbandon(nil)
	if won != nil {
		err = c.adopt(won.fd, won.mss, won.target, c.stack.poller.Hand)
	}
	if ctx.Err() != nil {
		err = nil // the handshake has ended already
	}
	c.dialledBefore(err)
	if won != nil && err == nil {
		c.beforeAnswer(c.connected) // as the poller will: sooner
	}
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

// first returns the first attempt that is connected; wait is the time until the next begins.
// Without one, the error is that of an address that has refused or, if none has, of the first; or
// ctx has ended.
func (r *race) first(ctx context.Context, wait time.Duration) (won *attempt, err error) {
	s := r.c.stack
	defer func() {
		for _, a := range r.open {
			s.closeSocket(a.fd)
		}
	}()
	next := time.NewTimer(wait)
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
			r.fail(a.target, connectFailure(errno))
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

func isConnected(fd int) bool {
	_, err := unix.Getpeername(fd)
	return err == nil
}

// errProhibited is the error of a connect that ICMPv6 "administratively prohibited" has answered.
var errProhibited = fmt.Errorf("%w: ICMPv6 administratively prohibited", unix.EACCES)

// connectFailure returns the error of a connect that has ended with errno.
func connectFailure(errno syscall.Errno) error {
	if errno == unix.EACCES {
		return errProhibited
	}
	return errno
}

// connectError returns the error with which the connect of a socket has ended, 0 if it has made its
// connection.
func connectError(fd int) syscall.Errno {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unix.EBADF
	}
	return syscall.Errno(errno)
}
