//go:build linux

package stack

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun"
)

// drainInterval is how often Drain looks.
const drainInterval = 2 * time.Millisecond

// Drain is for the end, when no client sends any more. It waits until all frames have been read and
// the far sides have acknowledged all bytes of their connections, or until ctx ends, and returns
// the number of connections that are not done. Handshakes do not count: their clients are gone. At
// its end Run closes delivered connections in order and resets the others.
func (s *Stack) Drain(ctx context.Context) (left int) {
	look := time.NewTicker(drainInterval)
	defer look.Stop()
	for {
		quiet := s.quiet() // before the connections: a frame may be the first of one
		left = s.undelivered()
		if quiet && left == 0 {
			return 0
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return left
		}
	}
}

// quiet reports whether nothing is on its way from the clients; true where the link cannot tell.
func (s *Stack) quiet() bool {
	link, ok := s.link.(tun.IdleNotifier)
	return !ok || link.Idle()
}

// undelivered returns how many connections have more to send to their far side.
func (s *Stack) undelivered() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		switch c.phase.Load() {
		case synReceived, acknowledged:
			n++
		case established: // mu keeps it so, and the descriptor with it
			queued, err := unix.IoctlGetInt(c.fd, unix.SIOCOUTQ)
			if !c.seen.has(serverShut) || err == nil && queued > 0 {
				n++
			}
		}
	}
	return n
}
