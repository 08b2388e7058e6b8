package owner

import (
	"errors"
	"iter"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxSearches = 256 // that go on, or wait for another of their user
	maxOfOne    = maxSearches / 4
	searchTime  = 2 * time.Millisecond
	minLooks    = 256    // of a search, whatever time they take
	maxLooks    = 20_000 // of one that goes on, for the next ones to learn from
	maxLate     = 4      // of these
	slice       = 16     // looks of one search before those of other users have their turn
	looksOfName = 4      // that it takes to name a process, besides those that find it
)

// Finder finds owners of sockets in the network namespace that it was made in. It is safe for
// concurrent use.
type Finder struct {
	uid   uint32   // of this process
	lacks []string // capabilities
	queue chan *search
	done  sync.WaitGroup // the goroutine that searches

	mu      sync.Mutex // guards all below
	diag    *diag
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
	patience  time.Duration        // searchTime
}

// search is one that goes on.
type search struct {
	socket  Socket
	done    func(Process)
	process Process
	reason  Reason

	asked time.Time
	looks int
	late  bool // its waiters have gone
	over  bool
	more  func() (struct{}, bool) // makes one more look
	stop  func()
}

// NewFinder returns a finder. Close gives it back.
func NewFinder() (*Finder, error) { return newFinder(searchTime) }

func newFinder(patience time.Duration) (*Finder, error) {
	d, err := newDiag()
	if err != nil {
		return nil, err
	}
	f := &Finder{
		uid: uint32(unix.Geteuid()), lacks: lacks(), queue: make(chan *search, maxSearches),
		diag: d, budgets: newBudgets(), running: make(map[uint32]int), last: newLast(), stats: Stats{NotFound: make(map[Reason]uint64)},
		processes: newProcesses(), waiting: make(map[uint32][]*search), late: make(map[uint32]bool), patience: patience,
	}
	for _, r := range Reasons() {
		f.stats.NotFound[r] = 0
	}
	f.done.Go(f.run)
	return f, nil
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

// Socket returns the TCP socket that is opening a connection between these addresses: its SYN must
// not have been answered. Without one the client is not of this host, or has given up. It takes
// some microseconds.
func (f *Finder) Socket(local, remote netip.AddrPort) (s Socket, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.diag.connecting(local, remote)
	switch {
	case errors.Is(err, errNoSocket):
		f.stats.NotFound[NoSocket]++
	case err != nil:
		f.stats.NotFound[Failed]++
	}
	return s, err == nil
}

// Search looks for the process that holds a socket. One that has been found lately it returns at
// once. Else it searches, and has done called with the process from another goroutine, once; the
// zero value says that it has not been found. Where the search may not begin it returns neither.
func (f *Finder) Search(s Socket, done func(Process)) (p Process, searching bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, looks := f.last.find(s); p.PID != 0 {
		f.budgets.spend(s.UID, looks, time.Now())
		f.stats.Found++
		return p, false
	}
	switch {
	case len(f.lacks) > 0 && s.UID != f.uid:
		f.stats.NotFound[Permission]++
		return Process{}, false
	case f.total >= maxSearches || f.running[s.UID] >= maxOfOne:
		f.stats.NotFound[Busy]++
		return Process{}, false
	case !f.budgets.left(s.UID, time.Now()):
		f.stats.NotFound[Budget]++
		return Process{}, false
	}
	f.total++
	f.running[s.UID]++
	f.queue <- &search{socket: s, done: done, asked: time.Now()} // has room for all
	return Process{}, true
}

// run makes a few looks for each user in turn, until Close.
func (f *Finder) run() {
	for {
		if len(f.searches) == 0 {
			s, ok := <-f.queue
			if !ok {
				return
			}
			f.accept(s)
		}
		for len(f.queue) > 0 {
			f.accept(<-f.queue)
		}
		for _, s := range f.searches {
			f.advance(s)
		}
		f.searches = slices.DeleteFunc(f.searches, func(s *search) bool { return s.over })
		runtime.Gosched() // others, who carry packets, have their turn too
	}
}

// accept begins a search, or has it wait for the one of its user that goes on.
func (f *Finder) accept(s *search) {
	next, goesOn := f.waiting[s.socket.UID]
	if goesOn {
		f.waiting[s.socket.UID] = append(next, s)
		return
	}
	f.waiting[s.socket.UID] = nil
	f.begin(s)
}

func (f *Finder) begin(s *search) {
	s.more, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.process, s.reason = f.processes.search(s.socket, func() bool { return yield(struct{}{}) })
	})
	f.searches = append(f.searches, s)
}

// advance makes some looks of a search.
func (f *Finder) advance(s *search) {
	for range slice {
		if _, more := s.more(); more {
			s.looks++
			continue
		}
		s.over = true
		if s.late {
			f.endLate(s)
		} else {
			f.end(s)
		}
		return
	}
	switch {
	case s.late && s.looks >= maxLooks:
		s.stop()
		s.over = true
		f.endLate(s)
	case !s.late && s.looks >= minLooks && time.Since(s.asked) >= f.patience:
		f.cutShort(s)
	}
}

// cutShort ends a search for those who wait for it. It goes on by itself, one for each user and a
// few for all: the next search finds its results at once.
func (f *Finder) cutShort(s *search) {
	s.reason = Deadline
	f.end(s)
	if f.late[s.socket.UID] || len(f.late) >= maxLate {
		s.stop()
		s.over = true
		return
	}
	f.late[s.socket.UID], s.late = true, true
}

// endLate ends a search that has gone on by itself.
func (f *Finder) endLate(s *search) {
	delete(f.late, s.socket.UID)
	f.mu.Lock()
	f.budgets.spend(s.socket.UID, s.looks, time.Now())
	f.mu.Unlock()
}

// end gives a search's result to its waiters, and begins the next one of its user.
func (f *Finder) end(s *search) {
	uid := s.socket.UID
	if next := f.waiting[uid]; len(next) > 0 {
		f.waiting[uid] = next[1:]
		f.begin(next[0])
	} else {
		delete(f.waiting, uid)
	}
	f.mu.Lock()
	f.total--
	if f.running[uid]--; f.running[uid] == 0 {
		delete(f.running, uid)
	}
	if s.reason == Found {
		f.stats.Found++
		h := f.processes.latest
		h.inode = s.socket.inode
		f.last.add(h)
		s.looks += looksOfName
	} else {
		f.stats.NotFound[s.reason]++
	}
	f.budgets.spend(uid, s.looks, time.Now())
	f.mu.Unlock()
	s.looks = 0
	s.done(s.process)
}

// Close returns when all searches have ended. None may begin after it was called.
func (f *Finder) Close() error {
	close(f.queue)
	f.done.Wait()
	f.last.close()
	return f.diag.close()
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
