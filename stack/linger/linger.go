//go:build linux

package linger

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/budget"
	"syntap/stack/dial"
	"syntap/stack/sockmem"
	"syntap/tun/raw"
)

// Sockets are the sockets that linger.
type Sockets struct {
	memory *budget.Budget

	mu  sync.Mutex // guards all
	all []*socket
}

type socket struct {
	fd      int
	payer   budget.Payer
	charged int64
	queued  int       // bytes, the FIN among them
	moved   time.Time // when it was last less
}

// New returns an empty set whose sockets are charged to memory.
func New(memory *budget.Budget) *Sockets { return &Sockets{memory: memory} }

const (
	// memory is the bytes that a socket takes besides those queued.
	memory = 4 << 10
	// patience is how long a far side may acknowledge nothing before it is reset. Linux gives up a
	// closed socket after about the same time.
	patience = 4 * time.Minute
)

// Close closes the socket of a connection that both ends have finished, once the far side has
// acknowledged all. isLocal is for a client that is a program of this host.
func (l *Sockets) Close(fd int, client netip.Addr, isLocal bool) {
	_ = dial.EndInOrder(fd) // fails only for what is no socket
	queued := unacknowledged(fd)
	if queued <= 1 { // the FIN
		raw.Close(fd)
		return
	}
	one := &socket{fd: fd, queued: queued, moved: time.Now()}
	one.payer = l.memory.Payer(client, isLocal)
	one.weigh()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, one)
}

// unacknowledged returns the number of bytes that a far side has not acknowledged, a FIN among
// them; 0 if the connection is over.
func unacknowledged(fd int) int {
	const closed = 7 // TCP_CLOSE, net/tcp_states.h: bytes that were lost count as queued
	info, ok := sockmem.TCP(fd)
	if !ok || info.State == closed {
		return 0
	}
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// weigh charges the bytes that the socket holds now.
func (s *socket) weigh() {
	n := memory + sockmem.Stream(s.fd)
	s.payer.Charge(n - s.charged)
	s.charged = n
}

// isOver reports whether the socket must be closed now.
func (s *socket) isOver(now time.Time) bool {
	queued := unacknowledged(s.fd)
	switch {
	case queued <= 1:
		return true
	case queued < s.queued:
		s.queued, s.moved = queued, now
	case now.Sub(s.moved) >= patience:
		_ = dial.EndByReset(s.fd)
		return true
	}
	s.weigh()
	return false
}

// Sweep closes the sockets that are done; all of them at the end, when the kernel has the rest.
func (l *Sockets) Sweep(end bool) {
	l.mu.Lock()
	all := l.all
	l.all = nil
	l.mu.Unlock()
	now, left := time.Now(), all[:0]
	for _, one := range all {
		if !end && !one.isOver(now) {
			left = append(left, one)
			continue
		}
		_ = unix.Close(one.fd)
		one.payer.Charge(-one.charged)
		l.memory.Leave(&one.payer)
	}
	clear(all[len(left):])
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(left, l.all...)
}
