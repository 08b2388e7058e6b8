//go:build linux

package stack

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun"
)

// drainInterval is the time between two checks of Drain. A check holds the lock that the end of
// each connection needs: with many connections drainRest times its duration passes before the next.
const (
	drainInterval = 2 * time.Millisecond
	drainRest     = 10
)

// Drain is called at the end, when no client sends any more. It waits until all frames have been
// read, datagrams that wait for a record have been sent, and the far sides have acknowledged all
// bytes, or until ctx ends. It returns the number of connections that Run will reset: those whose
// bytes and FIN are not all in the host's kernel. The kernel delivers the others. Handshakes do not
// count, because their clients are gone.
func (s *Stack) Drain(ctx context.Context) (left int) {
	for {
		began := time.Now()
		quiet := s.quiet() // before the connections: a frame may be the first of one
		waiting, left := s.undelivered()
		if quiet && waiting == 0 {
			return 0
		}
		select {
		case <-time.After(max(drainInterval, drainRest*time.Since(began))):
		case <-ctx.Done():
			return left
		}
	}
}

// quiet reports whether no frame of a client is waiting, if the link can tell, and no datagram
// waits for its record.
func (s *Stack) quiet() bool {
	return !slices.ContainsFunc(s.shards, func(s *Stack) bool {
		link, ok := s.link.(tun.IdleNotifier)
		return ok && !link.Idle() || s.nat.Holds()
	})
}

// readUpTo returns a time: all frames that had come by then have been read, of all queues.
func (s *Stack) readUpTo() time.Time {
	upTo := time.Now()
	for _, s := range s.shards {
		if link, ok := s.link.(tun.IdleNotifier); ok {
			if at := link.ReadUpTo(); at.Before(upTo) {
				upTo = at
			}
		}
	}
	return upTo
}

// undelivered returns the number of connections with bytes to send to their far side, and how many
// of these have bytes that the kernel does not have yet.
func (s *Stack) undelivered() (waiting, left int) {
	for _, s := range s.shards {
		w, l := s.undeliveredHere()
		waiting, left = waiting+w, left+l
	}
	return waiting, left
}

func (s *Stack) undeliveredHere() (waiting, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		switch c.phase.Load() {
		case synReceived, acknowledged:
			left++
		case established: // mu keeps it so, and the descriptor with it
			if !c.seen.has(serverShut) {
				left++
			} else if queued, err := unix.IoctlGetInt(c.fd, unix.SIOCOUTQ); err == nil && queued > 0 {
				waiting++
			}
		}
	}
	return waiting + left, left
}
