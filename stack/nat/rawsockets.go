//go:build linux

package nat

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/sched"
	"syntap/stack/sockmem"
)

// rawSockets holds the raw sockets that have mappings.
type rawSockets struct {
	dialer  *dial.Dialer
	poller  *sched.Poller
	replies *replies

	mu     sync.Mutex // guards byKey; taken after mapping.mu
	byKey  map[rawKey]*rawSocket
	inodes sync.Map // of all of them
}

func newRawSockets(dialer *dial.Dialer, poller *sched.Poller, r *replies) *rawSockets {
	return &rawSockets{
		dialer: dialer, poller: poller, replies: r, byKey: make(map[rawKey]*rawSocket),
	}
}

// enter gives a mapping an identifier at the raw socket of its address, which is opened where there
// is none.
func (r *rawSockets) enter(m *mapping) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := rawKey{m.Local, r.dialer.Interface()}
	s := r.byKey[k]
	if s == nil {
		s = &rawSocket{
			key: k, base: uint16(rand.Uint32()), replies: r.replies,
		}
		if err := r.open(s); err != nil {
			r.close(s)
			return err
		}
	}
	return s.enter(m)
}

func (r *rawSockets) open(s *rawSocket) error {
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

// leave takes the identifier of a mapping back, and closes a socket that has no mapping left.
func (r *rawSockets) leave(m *mapping) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.raw.leave(m) {
		r.close(m.raw)
	}
}

// close closes a raw socket. mu is held.
func (r *rawSockets) close(s *rawSocket) {
	if r.byKey[s.key] == s {
		delete(r.byKey, s.key)
	}
	s.Close(func(fd int) {
		r.replies.nat.stats.DropReceiveQueue.Add(s.NewlyLost(sockmem.Of(fd).Drops))
		r.poller.Remove(fd)
	})
	r.inodes.Delete(s.inode)
}

// OwnsRaw reports whether an inode is that of a raw socket by which the NAT sends echo requests: in
// the tables of the kernel these look like sockets that clients send by. It may be called from any
// goroutine.
func (n *NAT) OwnsRaw(inode uint32) bool {
	_, ok := n.raws.inodes.Load(uint64(inode))
	return ok
}
