package owner

import (
	"errors"
	"maps"
	"net/netip"
	"sync"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// kernel asks the kernel for the sockets of clients, and names their owners. It is the part of a
// Finder that looks at no process, and all that a Remote has of one.
type kernel struct {
	network *Network
	users   users
	cgroups *cgroups

	mu      sync.Mutex // guards all below
	sockets *sockets
	budgets budgets
	ends    uint64 // of clients, that were counted
	stats   Stats
}

// newKernel takes a network namespace over; nil is that of the calling thread. Close gives it back.
func newKernel(n *Network) (*kernel, error) {
	if n == nil {
		var err error
		if n, err = OpenNetwork(""); err != nil {
			return nil, err
		}
	}
	k := &kernel{
		network: n, users: users{path: "/etc/passwd"}, cgroups: newCgroups(), sockets: newSockets(n), budgets: newBudgets(),
		stats: Stats{NotFound: make(map[Reason]uint64)},
	}
	for _, r := range Reasons() {
		k.stats.NotFound[r] = 0
	}
	k.sockets.may = func(uid uint32) bool { return k.budgets.left(uid, time.Now()) }
	k.sockets.spend = func(uid uint32, took time.Duration) {
		k.budgets.spend(uid, int(took/looksTime), time.Now())
	}
	return k, nil
}

// LeaveOut has raw sockets of the router, by their inodes, not taken for those of clients. own is
// called with a lock held.
func (k *kernel) LeaveOut(own func(inode uint32) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sockets.own = own
}

// Stats returns the counters.
func (k *kernel) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stats
	s.NotFound = maps.Clone(s.NotFound)
	return s
}

// Owner returns the owner of a socket as records name it, with the process that a search has found.
// Without one, unit and container are those in which the socket was made: as a rule they are those
// of its process, too.
func (k *kernel) Owner(s Socket, p Process) record.Owner {
	now := time.Now()
	if p.PID == 0 {
		made := k.cgroups.place(s.cgroup, now)
		p.Unit, p.Container = made.unit, made.container
	}
	return record.Owner{
		UID: s.UID, User: k.users.name(s.UID, now), // "" if /etc/passwd has none
		PID: p.PID, Process: p.Name, Exe: p.Exe, Unit: p.Unit, Container: p.Container,
	}
}

// Socket returns the socket by which a client sends to a server: of TCP one that is opening a
// connection, whose SYN must not have been answered; of an echo request, whose identifier is the
// client's port, the ping socket or a raw one. Without one the client is not of this host, or has
// given up. It takes some microseconds.
func (k *kernel) Socket(p flow.Proto, client, server netip.AddrPort) (s Socket, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.sockets.find(p, client, server)
	switch {
	case err == nil:
		if p == flow.TCP || p == flow.UDP && server.Port() == portDNS {
			s.client, s.ends = client, k.ends
		}
		return s, true
	case errors.Is(err, errNoSocket):
		k.stats.NotFound[NoSocket]++
	case errors.Is(err, errShared):
		k.stats.NotFound[Shared]++
	case errors.Is(err, errBusy):
		k.stats.NotFound[Busy]++
	default:
		k.stats.NotFound[Failed]++
	}
	return Socket{}, false
}

// IsStill reports whether Socket would return the same socket again. It counts nothing.
func (k *kernel) IsStill(s Socket, p flow.Proto, client, server netip.AddrPort) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sockets.isStill(&s, p, client, server)
}

// countEnd counts an end of a client that a Finder is told, and returns its number.
func (k *kernel) countEnd() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ends++
	return k.ends
}

// counted counts searches with a result. mu is held.
func (k *kernel) counted(why Reason, n uint64) {
	if why == Found {
		k.stats.Found += n
	} else {
		k.stats.NotFound[why] += n
	}
}

// Close closes the sockets by which the kernel is asked.
func (k *kernel) Close() error {
	k.cgroups.close()
	return k.sockets.close()
}
