package owner

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Resolvers are the users whose processes resolve names for the programs of this host: those that
// hold a UDP socket at the DNS port of a loopback address, or of all addresses, such as
// systemd-resolved and dnsmasq.
//
// The kernel says which user has made a socket. A resolver may have been root then, and may have
// given that up since; so the user that counts is that of the process that holds it, where this
// process may look.
type Resolvers struct {
	sockets *sockets
	users   atomic.Pointer[map[uint32]bool]

	// Of one goroutine.
	holders map[uint32]int       // process by inode of its socket
	missed  map[uint32]time.Time // inodes without a process that could be found, and when
}

const (
	portDNS          = 53 // RFC 1035 §4.2
	resolversAge     = 5 * time.Second
	missedAge        = time.Minute
	maxDNSListeners  = 64
	effectiveFSField = 3 // of the line Uid: real, effective, saved, file system (proc_pid_status(5))
)

// NewResolvers returns those of the calling thread's network namespace, as of now. Close gives them
// back.
func NewResolvers() (*Resolvers, error) {
	n, err := OpenNetwork("")
	if err != nil {
		return nil, err
	}
	r := &Resolvers{sockets: newSockets(n), holders: make(map[uint32]int), missed: make(map[uint32]time.Time)}
	if err := r.look(time.Now()); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// All returns the users whose processes resolve names.
func (r *Resolvers) All() []uint32 { return slices.Sorted(maps.Keys(*r.users.Load())) }

// Run looks again every few seconds until ctx ends, and calls changed when the users are others.
// Where it cannot look, they stay as they were.
func (r *Resolvers) Run(ctx context.Context, changed func()) {
	for {
		select {
		case <-time.After(resolversAge):
			before := r.users.Load()
			if err := r.look(time.Now()); err == nil && !maps.Equal(*before, *r.users.Load()) {
				changed()
			}
		case <-ctx.Done():
			return
		}
	}
}

// Close closes the sockets by which the kernel is asked. Nothing may run any more.
func (r *Resolvers) Close() error { return r.sockets.close() }

func (r *Resolvers) look(now time.Time) error {
	listeners, err := r.sockets.listeners(portDNS)
	if err != nil {
		return err
	}
	r.find(listeners, now)
	users := make(map[uint32]bool)
	for inode, uid := range listeners {
		if pid, ok := r.holders[inode]; ok {
			if u, ok := userOf(pid); ok {
				users[u] = true
				continue
			}
			delete(r.holders, inode) // it has ended
		}
		if uid != 0 { // else it may have given that up
			users[uid] = true
		}
	}
	r.users.Store(&users)
	return nil
}

// find finds the processes of listeners that are new, and forgets those that have gone.
func (r *Resolvers) find(listeners map[uint32]uint32, now time.Time) {
	wanted := make(map[uint32]bool)
	for inode := range listeners {
		if _, ok := r.holders[inode]; !ok && now.Sub(r.missed[inode]) >= missedAge {
			wanted[inode], r.missed[inode] = true, now
		}
	}
	for inode := range r.holders {
		if _, ok := listeners[inode]; !ok {
			delete(r.holders, inode)
		}
	}
	for inode := range r.missed {
		if _, ok := listeners[inode]; !ok {
			delete(r.missed, inode)
		}
	}
	if len(wanted) == 0 {
		return
	}
	var link [4096]byte
	_ = entries(unix.AT_FDCWD, "/proc", func(_ int, name string) bool {
		pid, err := strconv.Atoi(name)
		if err != nil {
			return true
		}
		_ = entries(unix.AT_FDCWD, "/proc/"+name+"/fd", func(dir int, fd string) bool {
			if inode, err := socketInode(dir, fd, link[:]); err == nil && wanted[inode] {
				r.holders[inode] = pid
				delete(r.missed, inode)
			}
			return true
		})
		return len(r.holders) < len(listeners)
	})
}

// userOf returns the user as which a process makes sockets.
func userOf(pid int) (uid uint32, ok bool) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, false
	}
	_, line, _ := strings.Cut(string(status), "\nUid:\t")
	line, _, _ = strings.Cut(line, "\n")
	fields := strings.Fields(line)
	if len(fields) <= effectiveFSField {
		return 0, false
	}
	n, err := strconv.ParseUint(fields[effectiveFSField], 10, 32)
	return uint32(n), err == nil
}

// listeners returns the UDP sockets at a port that programs of this host reach by a loopback
// address: the user of each, by inode.
func (q *sockets) listeners(port uint16) (map[uint32]uint32, error) {
	all := make(map[uint32]uint32)
	add := func(s *bound) {
		a := s.local.Addr()
		if s.inode != 0 && s.local.Port() == port && !s.remote.IsValid() &&
			(a.IsLoopback() || a.IsUnspecified()) && len(all) < maxDNSListeners {
			all[s.inode] = s.uid
		}
	}
	for _, f := range []struct {
		*diag
		family uint8
		any    netip.Addr
	}{{q.four, unix.AF_INET, netip.IPv4Unspecified()}, {q.six, unix.AF_INET6, netip.IPv6Unspecified()}} {
		err := f.ask(f.family, unix.IPPROTO_UDP, unix.NLM_F_DUMP, netip.AddrPortFrom(f.any, port), netip.AddrPort{})
		if err == nil {
			err = f.answers(true, add)
		}
		if err != nil && !(f.family == unix.AF_INET6 && errors.Is(err, unix.ENOENT)) { // a kernel without IPv6
			return nil, err
		}
	}
	return all, nil
}
