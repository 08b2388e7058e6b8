//go:build linux

package rawecho

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/mappings"
	"syntap/stack/sched"
	"syntap/stack/sockmem"
)

// Sockets holds the raw sockets that have mappings.
type Sockets struct {
	dialer *dial.Dialer
	poller *sched.Poller
	lost   *atomic.Uint64
	ready  func(*Socket, uint32)

	mu     sync.Mutex // guards byKey
	byKey  map[key]*Socket
	inodes sync.Map // of all of them
}

// New returns an empty set. The poller calls ready for a socket with events; lost counts the
// messages that found no room in one.
func New(
	dialer *dial.Dialer, poller *sched.Poller, lost *atomic.Uint64, ready func(*Socket, uint32),
) *Sockets {
	return &Sockets{
		dialer: dialer, poller: poller, lost: lost, ready: ready, byKey: make(map[key]*Socket),
	}
}

// Enter gives a mapping an identifier at the raw socket of an address of this host, which is opened
// where there is none. It calls set with both before any message finds the mapping.
func (r *Sockets) Enter(
	m mappings.Mapping, local netip.Addr, set func(s *Socket, ident uint16),
) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := key{local, r.dialer.Interface()}
	s := r.byKey[k]
	if s == nil {
		s = &Socket{key: k, base: uint16(rand.Uint32()), ready: r.ready}
		if err := r.open(s); err != nil {
			r.close(s)
			return err
		}
	}
	return s.enter(m, set)
}

func (r *Sockets) open(s *Socket) error {
	if err := s.open(r.dialer); err != nil {
		return err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(s.FD(), &stat); err != nil {
		return fmt.Errorf("identify raw socket: %w", err)
	}
	s.inode = stat.Ino
	r.inodes.Store(s.inode, nil)
	if err := r.poller.Add(s.FD(), &s.watch, s, unix.EPOLLIN); err != nil {
		return fmt.Errorf("watch raw socket: %w", err)
	}
	r.byKey[s.key] = s
	return nil
}

// Leave takes the identifier of a mapping back, and closes a socket that has no mapping left.
func (r *Sockets) Leave(s *Socket, m mappings.Mapping, ident uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.leave(m, ident) {
		r.close(s)
	}
}

// close closes a raw socket. mu is held.
func (r *Sockets) close(s *Socket) {
	if r.byKey[s.key] == s {
		delete(r.byKey, s.key)
	}
	s.Close(func(fd int) {
		r.lost.Add(s.NewlyLost(sockmem.Of(fd).Drops))
		r.poller.Remove(fd)
	})
	r.inodes.Delete(s.inode)
}

// Owns reports whether an inode is that of one of the sockets. It may be called from any goroutine.
func (r *Sockets) Owns(inode uint32) bool {
	_, ok := r.inodes.Load(uint64(inode))
	return ok
}
