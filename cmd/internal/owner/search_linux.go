package owner

import (
	"iter"
	"runtime"
	"slices"
	"time"
)

const (
	maxSearches = 256 // that go on, or wait for another of their user
	maxOfOne    = maxSearches / 4
	searchTime  = 2 * time.Millisecond
	longestWait = 25                   // times searchTime: for others of its user
	waitLooks   = 2 * minLooks         // of others meanwhile, whatever time they take
	minLooks    = 1024                 // of a search, whatever time they take; as in searchTime
	maxLooks    = 20_000               // of one that goes on, for the next ones to learn from
	maxLate     = 4                    // of these
	looksTime   = 2 * time.Microsecond // that one takes, about
	slice       = 16                   // looks of one search before those of other users have their turn
)

// search is one that goes on.
type search struct {
	socket  Socket
	done    func(Process, Reason)
	process Process
	reason  Reason

	asked time.Time
	began int // looks of all searches when it came
	looks int
	late  bool // its waiters have gone
	over  bool
	more  func() (struct{}, bool) // makes one more look
	stop  func()
}

// Query asks for the process that holds a socket.
type Query struct {
	Socket Socket
	// Done takes the result where Search returns while the process is searched for.
	Done func(Process, Reason)

	Process   Process // that was found at once; the zero value = it was not
	Reason    Reason  // why it will not be searched for
	Searching bool    // Done will be called, once, from another goroutine

	likely holder
	looks  int
}

// Search looks for the processes that hold some sockets. Those that have been found lately it finds
// at once. For the others it begins searches; the zero value is the answer of one that finds none.
// Where one may not begin, the query has neither a process nor a search.
func (f *Finder) Search(queries []Query) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last.round++
	for i := range queries {
		f.guessAtOnce(&queries[i])
	}
	for i := range queries { // what a process is, is read once for all of its sockets
		if q := &queries[i]; !f.confirmAtOnce(q) {
			f.begin(q)
		}
	}
}

// guessAtOnce looks for a socket where processes have held others lately. mu is held.
func (f *Finder) guessAtOnce(q *Query) {
	if len(q.Socket.rest) > 0 {
		return
	}
	q.likely, q.looks = f.last.find(q.Socket, looksAtLast, false)
	if q.likely.process != nil {
		f.last.add(q.likely, q.Socket)
	}
}

// confirmAtOnce reports whether a guess has found the process. mu is held.
func (f *Finder) confirmAtOnce(q *Query) bool {
	h := q.likely
	if h.process == nil || f.last.confirm(h, q.Socket) != Found || len(h.relatives()) > 0 {
		return false
	}
	f.budgets.search(q.Socket.UID, q.looks+looksToConfirm, time.Now())
	f.counted(Found, 1)
	q.Process = h.Process
	return true
}

// begin begins a search if it may. mu is held.
func (f *Finder) begin(q *Query) {
	s := q.Socket
	switch {
	case len(f.lacks) > 0 && s.UID != f.uid:
		q.Reason = Permission
	case f.total >= maxSearches || f.running[s.UID] >= maxOfOne:
		q.Reason = Busy
	case !f.budgets.left(s.UID, time.Now()):
		q.Reason = Budget
	}
	if q.Reason != Found {
		f.counted(q.Reason, 1)
		return
	}
	f.total++
	f.running[s.UID]++
	f.queue <- &search{socket: s, done: q.Done, asked: time.Now(), looks: q.looks} // has room for all
	q.Searching = true
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
		f.giveUp()
		runtime.Gosched() // others, who carry packets, have their turn too
	}
}

// accept begins a search, or has it wait for the one of its user that goes on.
func (f *Finder) accept(s *search) {
	s.began = f.made
	next, goesOn := f.waiting[s.socket.UID]
	if goesOn {
		f.waiting[s.socket.UID] = append(next, s)
		return
	}
	f.waiting[s.socket.UID] = nil
	f.start(s)
}

func (f *Finder) start(s *search) {
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
			f.made++
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

// hasWaited reports whether a search has waited long enough for its turn. Time in which this
// machine stalls does not count alone.
func (f *Finder) hasWaited(s *search) bool {
	return f.made-s.began >= waitLooks && time.Since(s.asked) >= longestWait*f.patience
}

// giveUp ends searches whose time has passed while they waited for another of their user.
func (f *Finder) giveUp() {
	for uid, next := range f.waiting {
		over := 0
		for over < len(next) && f.hasWaited(next[over]) {
			over++
		}
		f.waiting[uid] = next[over:]
		for _, s := range next[:over] {
			f.count(s, Deadline)
			s.done(Process{}, Deadline)
		}
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
		f.start(next[0])
	} else {
		delete(f.waiting, uid)
	}
	s.looks += f.extra
	f.extra = 0
	f.count(s, s.reason)
	s.looks = 0
	s.done(s.process, s.reason)
}

// count takes a search that is over for those who wait out of the numbers.
func (f *Finder) count(s *search, why Reason) {
	uid := s.socket.UID
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total--
	if f.running[uid]--; f.running[uid] == 0 {
		delete(f.running, uid)
	}
	f.counted(why, 1)
	if why == Found {
		s.looks += looksToName
	}
	f.budgets.search(uid, s.looks, time.Now())
}
