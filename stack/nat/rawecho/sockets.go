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
	idents Idents

	mu     sync.Mutex // guards byKey
	byKey  map[key]*Socket
	inodes sync.Map // of all of them
}

// Idents are the identifiers that the sockets of a set use: one part of so many equal ones. Each
// raw socket of a host gets all echo replies, so several sets may have none in common.
type Idents struct{ Part, Of int }

// origin is where the first part of the identifiers begins: random, since other programs choose
// some, too.
var origin = uint16(rand.Uint32())

// most returns the number of identifiers of a part.
func (i Idents) most() int { return mostIdents / i.Of }

// first returns one of them to begin with, so that all follow it.
func (i Idents) first() uint16 { return origin + uint16(i.Part*i.most()) }

// New returns an empty set. The poller calls ready for a socket with events; lost counts the
// messages that found no room in one.
func New(
	dialer *dial.Dialer, poller *sched.Poller, lost *atomic.Uint64, ready func(*Socket, uint32),
	idents Idents,
) *Sockets {
	return &Sockets{
		dialer: dialer, poller: poller, lost: lost, ready: ready, idents: idents,
		byKey: make(map[key]*Socket),
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
		s = &Socket{key: k, base: r.idents.first(), most: r.idents.most(), ready: r.ready}
		if r.idents.Of == 1 {
			s.base = uint16(rand.Uint32())
		}
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
