package owner

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Finder finds owners of sockets in a network namespace. It is safe for concurrent use.
type Finder struct {
	*kernel
	uid   uint32   // of this process
	lacks []string // capabilities
	queue chan *search
	done  sync.WaitGroup // the goroutine that searches

	// Guarded by kernel.mu.
	running map[uint32]int // searches by user
	total   int            // of them
	last    last

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
	k, err := newKernel(n)
	if err != nil {
		return nil, err
	}
	f := &Finder{
		kernel: k, uid: uint32(unix.Geteuid()), lacks: lacks(), queue: make(chan *search, maxSearches),
		running: make(map[uint32]int), last: newLast(),
		waiting: make(map[uint32][]*search), late: make(map[uint32]bool), patience: patience,
	}
	f.processes = processes{
		root: k.network.Root, place: k.network.place,
		known: make(map[uint32]found), fresh: newFresh(), recent: f.recent, guess: f.guess, name: f.name,
	}
	f.done.Go(f.run)
	return f, nil
}

// Lacks returns the capabilities without which processes of other users cannot be found.
func (f *Finder) Lacks() []string { return f.lacks }

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
	return f.kernel.Close()
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
