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

// Drain is for when no client will send any more: it waits until all that clients have sent has left, and has been
// acknowledged by the far sides of connections, or until ctx ends. It returns of how many connections there is something left.
// Attempts do not count: their clients are gone. The end of Run closes in order what is delivered, and resets the rest.
func (s *Stack) Drain(ctx context.Context) (left int) {
	look := time.NewTicker(drainInterval)
	defer look.Stop()
	for {
		quiet := s.quiet() // before the flows: a frame may be the first of one
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
	for _, f := range s.flows {
		switch f.phase.Load() {
		case answering:
			n++
		case open: // mu keeps it so, and the descriptor with it
			if queued, err := unix.IoctlGetInt(f.fd, unix.SIOCOUTQ); !f.sentAll.Load() || err == nil && queued > 0 {
				n++
			}
		}
	}
	return n
}
