//go:build linux

package stack

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/budget"
	"syntap/stack/dial"
	"syntap/stack/sockmem"
)

// lingering is the host sockets of connections that are over, whose far side has not acknowledged
// all bytes. The kernel would send these for a closed socket too, at no one's expense: a client and
// a far end together could fill its memory. So such sockets stay open and charged.
type lingering struct {
	mu      sync.Mutex // guards sockets
	sockets []*lingerer
}

type lingerer struct {
	fd      int
	payer   budget.Payer
	charged int64
	queued  int       // bytes, the FIN among them
	moved   time.Time // when it was last less
}

const (
	// lingerMemory is the bytes that a socket takes besides those queued.
	lingerMemory = 4 << 10
	// lingerTime is how long a far side may acknowledge nothing before it is reset. Linux gives up
	// a closed socket after about as long.
	lingerTime = 4 * time.Minute
)

// linger closes the host socket of a connection that both ends have finished once the far side has
// acknowledged all.
func (s *Stack) linger(c *conn) {
	_ = dial.EndInOrder(c.fd) // fails only for what is no socket
	queued := unacknowledged(c.fd)
	if queued <= 1 { // the FIN
		s.closeSocket(c.fd)
		return
	}
	s.poller.Remove(c.fd)
	l := &lingerer{fd: c.fd, queued: queued, moved: time.Now()}
	l.payer = s.memory.Payer(c.key.client.Addr(), c.isLocal)
	l.weigh()
	s.lingering.mu.Lock()
	s.lingering.sockets = append(s.lingering.sockets, l)
	s.lingering.mu.Unlock()
}

// unacknowledged returns the number of bytes that a far side has not acknowledged, a FIN among
// them; 0 if the connection is over.
func unacknowledged(fd int) int {
	const closed = 7 // TCP_CLOSE, net/tcp_states.h: bytes that were lost count as queued
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State == closed {
		return 0
	}
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// weigh charges the bytes that the socket holds now.
func (l *lingerer) weigh() {
	n := lingerMemory + sockmem.Stream(l.fd)
	l.payer.Charge(n - l.charged)
	l.charged = n
}

// isOver looks at the socket, and reports whether it is to be closed.
func (l *lingerer) isOver(now time.Time) bool {
	queued := unacknowledged(l.fd)
	switch {
	case queued <= 1:
		return true
	case queued < l.queued:
		l.queued, l.moved = queued, now
	case now.Sub(l.moved) >= lingerTime:
		_ = dial.EndByReset(l.fd)
		return true
	}
	l.weigh()
	return false
}

// sweep closes the sockets that are done; all of them at the end, when the kernel has the rest.
func (l *lingering) sweep(m *budget.Budget, end bool) {
	l.mu.Lock()
	all := l.sockets
	l.sockets = nil
	l.mu.Unlock()
	now, left := time.Now(), all[:0]
	for _, one := range all {
		if !end && !one.isOver(now) {
			left = append(left, one)
			continue
		}
		_ = unix.Close(one.fd)
		one.payer.Charge(-one.charged)
		m.Leave(&one.payer)
	}
	clear(all[len(left):])
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sockets = append(left, l.sockets...)
}
