//go:build linux

package race

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/sched"
	"syntap/tun/packet"
)

// Delay is the Connection Attempt Delay of RFC 8305 §5: the time until the next attempt begins,
// unless one fails before.
const Delay = 250 * time.Millisecond

// Options of a [Race]. All are needed.
type Options struct {
	Poller *sched.Poller
	Events uint32 // that the sockets are watched for; EPOLLOUT among them

	// Open returns a socket that connects to an address.
	Open func(netip.AddrPort) (fd int, mss packet.MSS, err error)
	// Target receives the address that is the reason if the race ends now.
	Target func(netip.AddrPort)
}

// Race is the attempts to connect for one connection.
type Race struct {
	o       Options
	targets []netip.AddrPort // to come
	open    []*Attempt       // in order
	done    chan *Attempt

	err    error // of those that have failed: a refusal or, if none has refused, the first
	failed netip.AddrPort
}

// Attempt is one of several sockets that connect.
type Attempt struct {
	FD     int
	MSS    packet.MSS
	Target netip.AddrPort

	watch sched.Watch
	done  chan<- *Attempt // has room for each
	told  atomic.Bool     // it is in done
}

// New returns a race for targets. If an attempt before has failed, err is its error.
func New(o Options, targets []netip.AddrPort, before netip.AddrPort, err error) *Race {
	return &Race{
		o: o, targets: targets, done: make(chan *Attempt, 1+len(targets)), err: err, failed: before,
	}
}

// Ready implements sched.Watcher: the socket has connected, or failed.
func (a *Attempt) Ready(events uint32) {
	if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 && !a.told.Swap(true) {
		a.done <- a
	}
}

// Join adds a socket that is already connecting and watched by the poller.
func (r *Race) Join(fd int, mss packet.MSS, target netip.AddrPort) {
	a := &Attempt{FD: fd, MSS: mss, Target: target, done: r.done}
	r.open = append(r.open, a)
	_ = r.o.Poller.Hand(fd, &a.watch, a, r.o.Events) // fails only for a socket that is closed
}

// start begins an attempt. It may fail at once.
func (r *Race) start(target netip.AddrPort) (*Attempt, error) {
	a := &Attempt{Target: target, done: r.done}
	var err error
	if a.FD, a.MSS, err = r.o.Open(target); err != nil {
		return nil, err
	}
	if err := r.o.Poller.Add(a.FD, &a.watch, a, r.o.Events); err != nil {
		r.close(a)
		return nil, err
	}
	return a, nil
}

func (r *Race) close(a *Attempt) {
	r.o.Poller.Remove(a.FD)
	_ = unix.Close(a.FD)
}

// First returns the first attempt that connects, whose socket then belongs to the caller; wait is
// the time until the next attempt begins. If none connects, the error is that of an address that
// refuses, else that of the first; or ctx has ended.
func (r *Race) First(ctx context.Context, wait time.Duration) (won *Attempt, err error) {
	defer func() {
		for _, a := range r.open {
			r.close(a)
		}
	}()
	next := time.NewTimer(wait)
	defer next.Stop()
	for len(r.targets) > 0 || len(r.open) > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-next.C:
			next.Reset(r.Next())
		case a := <-r.done:
			r.open = slices.DeleteFunc(r.open, func(o *Attempt) bool { return o == a })
			errno := dial.ConnectErrno(a.FD)
			if errno == 0 {
				return a, nil
			}
			r.close(a)
			r.fail(a.Target, dial.ConnectFailure(errno))
			next.Reset(0)
		}
	}
	return nil, r.err
}

// Next begins the next attempt, and returns the time until the one after it.
func (r *Race) Next() time.Duration {
	if len(r.targets) == 0 {
		return Delay
	}
	target := r.targets[0]
	r.targets = r.targets[1:]
	a, err := r.start(target)
	if err != nil {
		r.fail(target, err)
		return 0
	}
	r.open = append(r.open, a)
	r.noteTarget()
	return Delay
}

func (r *Race) fail(target netip.AddrPort, err error) {
	refused := errors.Is(err, unix.ECONNREFUSED) && !errors.Is(r.err, unix.ECONNREFUSED)
	if r.err == nil || refused {
		r.err, r.failed = err, target
	}
	r.noteTarget()
}

// noteTarget notes the address that is the reason if the handshake ends now.
func (r *Race) noteTarget() {
	if len(r.open) > 0 {
		r.o.Target(r.open[0].Target)
	} else {
		r.o.Target(r.failed)
	}
}
