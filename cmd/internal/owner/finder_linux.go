package owner

import (
	"errors"
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// Finder finds owners of sockets in a network namespace. It is safe for concurrent use.
type Finder struct {
	uid   uint32   // of this process
	lacks []string // capabilities
	queue chan *search
	done  sync.WaitGroup // the goroutine that searches

	users   users
	cgroups *cgroups

	mu      sync.Mutex // guards all below
	sockets *sockets
	budgets budgets
	running map[uint32]int // searches by user
	total   int            // of them
	last    last
	stats   Stats

	// Of the goroutine that searches.
	processes processes
	searches  []*search            // that go on: one for each user, and one that is late
	waiting   map[uint32][]*search // users with a search that is waited for, and the next ones
	late      map[uint32]bool      // users with a search that has been cut short and goes on
	made      int                  // looks of all searches
	patience  time.Duration        // searchTime
	extra     int                  // looks that took place when a process was named
}

// NewFinder returns a finder for a network namespace, which it takes over; nil is that of the
// calling thread. Close gives it back.
func NewFinder(n *Network) (*Finder, error) { return newFinder(n, searchTime) }

func newFinder(n *Network, patience time.Duration) (*Finder, error) {
	if n == nil {
		var err error
		if n, err = OpenNetwork(""); err != nil {
			return nil, err
		}
	}
	f := &Finder{
		uid: uint32(unix.Geteuid()), lacks: lacks(), queue: make(chan *search, maxSearches),
		users: users{path: "/etc/passwd"}, cgroups: newCgroups(),
		sockets: newSockets(n), budgets: newBudgets(),
		running: make(map[uint32]int), last: newLast(), stats: Stats{NotFound: make(map[Reason]uint64)},
		waiting: make(map[uint32][]*search), late: make(map[uint32]bool), patience: patience,
	}
	f.sockets.may = func(uid uint32) bool { return f.budgets.left(uid, time.Now()) }
	f.sockets.spend = func(uid uint32, took time.Duration) {
		f.budgets.spend(uid, int(took/looksTime), time.Now())
	}
	f.processes = processes{
		root: n.Root, place: n.place, known: make(map[uint32]found), fresh: newFresh(), recent: f.recent, guess: f.guess, name: f.name,
	}
	for _, r := range Reasons() {
		f.stats.NotFound[r] = 0
	}
	f.done.Go(f.run)
	return f, nil
}

// LeaveOut has raw sockets of the router, by their inodes, not taken for those of clients. own is
// called with a lock of the Finder held.
func (f *Finder) LeaveOut(own func(inode uint32) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sockets.own = own
}

// Lacks returns the capabilities without which processes of other users cannot be found.
func (f *Finder) Lacks() []string { return f.lacks }

// Stats returns the counters.
func (f *Finder) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.NotFound = maps.Clone(s.NotFound)
	return s
}

// Owner returns the owner of a socket as records name it, with the process that a search has found.
// Without one, unit and container are those in which the socket was made: as a rule they are those
// of its process, too.
func (f *Finder) Owner(s Socket, p Process) record.Owner {
	now := time.Now()
	if p.PID == 0 {
		made := f.cgroups.place(s.cgroup, now)
		p.Unit, p.Container = made.unit, made.container
	}
	return record.Owner{
		UID: s.UID, User: f.users.name(s.UID, now), // "" if /etc/passwd has none
		PID: p.PID, Process: p.Name, Exe: p.Exe, Unit: p.Unit, Container: p.Container,
	}
}

// Socket returns the socket by which a client sends to a server: of TCP one that is opening a
// connection, whose SYN must not have been answered; of an echo request, whose identifier is the
// client's port, the ping socket or a raw one. Without one the client is not of this host, or has
// given up. It takes some microseconds.
func (f *Finder) Socket(p flow.Proto, client, server netip.AddrPort) (s Socket, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.sockets.find(p, client, server)
	switch {
	case err == nil:
		if p == flow.TCP || p == flow.UDP && server.Port() == portDNS {
			s.client, s.ends = client, f.last.ends
		}
		return s, true
	case errors.Is(err, errNoSocket):
		f.stats.NotFound[NoSocket]++
	case errors.Is(err, errShared):
		f.stats.NotFound[Shared]++
	case errors.Is(err, errBusy):
		f.stats.NotFound[Busy]++
	default:
		f.stats.NotFound[Failed]++
	}
	return Socket{}, false
}

// IsStill reports whether Socket would return the same socket again. It counts nothing.
func (f *Finder) IsStill(s Socket, p flow.Proto, client, server netip.AddrPort) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sockets.isStill(&s, p, client, server)
}

// countEnd counts an end of a client that another Finder is told, and returns its number.
func (f *Finder) countEnd() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last.ends++
	return f.last.ends
}

// closedAs takes an end of a client, with the number that countEnd of another Finder has returned.
func (f *Finder) closedAs(client netip.AddrPort, number uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last.closed(client, number)
}

// recent returns the processes that have held sockets of a user, the last one first.
func (f *Finder) recent(uid uint32) (pids []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.last.users[uid] {
		pids = append(pids, p.PID)
	}
	return pids
}

// guess looks at more descriptors of these than Search has done, a few at a time, so that packets
// need not wait.
func (f *Finder) guess(s Socket) (at found, looks int, ok bool) {
	for looks < looksToGuess {
		f.mu.Lock()
		h, n := f.last.find(s, looksAtLast, true)
		f.mu.Unlock()
		looks += n
		switch {
		case h.process != nil:
			return found{h.PID, h.fd}, looks, true
		case n == 0:
			return found{}, looks, false
		}
	}
	return found{}, looks, false
}

// name says what a process is that was found to hold a socket, and remembers it.
func (f *Finder) name(at found, s Socket) (Process, Reason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.last.known(at.pid); p != nil {
		return f.confirm(holder{process: p, fd: at.fd, fresh: true}, s)
	}
	f.mu.Unlock()
	p := openProcess(at.pid, f.processes.buf[:]) // some ten system calls
	f.mu.Lock()
	if p == nil {
		return Process{}, Ended
	}
	h := holder{process: p, fd: at.fd, fresh: true, opened: true}
	if known := f.last.known(p.PID); known != nil { // a thread of it was found
		p.close()
		h.process, h.opened = known, false
	}
	return f.confirm(h, s)
}

// confirm makes sure of a holder and remembers it. mu is held, but not while its relatives are
// looked at.
func (f *Finder) confirm(h holder, s Socket) (Process, Reason) {
	f.last.round++
	reason := f.last.confirm(h, s)
	if relatives := h.relatives(); reason == Found && len(relatives) > 0 {
		f.mu.Unlock()
		for _, pid := range relatives {
			ok, looks := holdsAny(pid, s.inode, f.processes.buf[:])
			if f.extra += looks; ok {
				reason = Shared
			}
		}
		f.mu.Lock()
	}
	if reason != Found {
		if f.last.known(h.PID) == nil {
			h.close()
		}
		return Process{}, reason
	}
	if h.dir >= 0 { // else it was forgotten meanwhile
		f.last.add(h, s)
	}
	return h.Process, Found
}

// Close returns when all searches have ended. None may begin after it was called.
func (f *Finder) Close() error {
	close(f.queue)
	f.done.Wait()
	f.last.close()
	f.processes.fresh.close()
	f.cgroups.close()
	return f.sockets.close()
}

// lacks returns the names of the capabilities that this process lacks to see descriptors of other
// users.
func lacks() (names []string) {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if unix.Capget(&header, &data[0]) != nil {
		return nil // a process that cannot be read will be counted
	}
	has := func(c uint) bool { return data[0].Effective&(1<<c) != 0 }
	if !has(unix.CAP_SYS_PTRACE) {
		names = append(names, "CAP_SYS_PTRACE")
	}
	if !has(unix.CAP_DAC_READ_SEARCH) && !has(unix.CAP_DAC_OVERRIDE) {
		names = append(names, "CAP_DAC_READ_SEARCH")
	}
	return names
}
