package owner

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"sync"
)

// Remote is a Finder whose searches another process makes, by a Server. It asks the kernel for
// sockets itself, which takes no right.
type Remote struct {
	*Finder // of sockets alone
	conn    *net.UnixConn
	lacks   []string // of the other process
	done    sync.WaitGroup

	mu      sync.Mutex // guards all below
	ends    []byte     // items that go along with the next questions
	asked   map[uint32]func(Process, Reason)
	last    uint32 // id of a question
	stats   Stats  // of searches
	message []byte
	gone    bool // the other process is
}

// NewRemote returns a finder for a network namespace, as NewFinder does, at one end of a socket of
// type SOCK_SEQPACKET. It takes over both. lacks is Finder.Lacks in the other process.
func NewRemote(n *Network, conn *net.UnixConn, lacks []string) (*Remote, error) {
	f, err := NewFinder(n)
	if err != nil {
		return nil, err
	}
	r := &Remote{
		Finder: f, conn: conn, lacks: lacks,
		asked: make(map[uint32]func(Process, Reason)), stats: Stats{NotFound: make(map[Reason]uint64)},
	}
	r.done.Go(r.receive)
	return r, nil
}

// Lacks returns the capabilities without which processes of other users cannot be found.
func (r *Remote) Lacks() []string { return r.lacks }

// Stats returns the counters.
func (r *Remote) Stats() Stats {
	all := r.Finder.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	all.Found += r.stats.Found
	all.NotFound = maps.Clone(all.NotFound)
	for reason, n := range r.stats.NotFound {
		all.NotFound[reason] += n
	}
	return all
}

// SetUsers takes the names of users from a file of the form of passwd(5), and reads none itself
// from now on.
func (r *Remote) SetUsers(f io.Reader) { r.users.set(f) }

// maxEnds bounds the items that wait for the next question, in bytes.
const maxEnds = maxMessage / 4

// Closed is Finder.Closed.
func (r *Remote) Closed(client netip.AddrPort) {
	number := r.countEnd()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ends) < maxEnds { // without a hint it takes a look more
		r.ends = appendEnd(r.ends, client, number)
	}
}

// Search is Finder.Search. All answers come later.
func (r *Remote) Search(queries []Query) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := append(r.message[:0], r.ends...)
	r.ends = r.ends[:0]
	for i := range queries {
		q := &queries[i]
		if r.gone {
			q.Reason = Failed
			r.stats.NotFound[Failed]++
			continue
		}
		r.last++
		r.asked[r.last], q.Searching = q.Done, true
		b = appendQuestion(b, &question{r.last, q.Socket})
		if len(b) > maxMessage/2 {
			r.send(b)
			b = b[:0]
		}
	}
	r.send(b)
	r.message = b
}

// Question returns the question for the process of a socket, for Finder.Answer of the other
// process, which gets it on another way than those of Search. Answered counts its result.
func (r *Remote) Question(s Socket) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := make([]byte, 0, len(r.ends)+questionSize)
	b = append(b, r.ends...)
	r.ends = r.ends[:0]
	return appendQuestion(b, &question{Socket: s})
}

// Answered counts the result of a Question. One that no Finder gives counts as a failure.
func (r *Remote) Answered(result Result) {
	reason, ok := result.reason()
	if !ok {
		reason = Failed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(reason)
}

// count counts the result of a search. mu is held.
func (r *Remote) count(why Reason) {
	if why == Found {
		r.stats.Found++
	} else {
		r.stats.NotFound[why]++
	}
}

// send sends a message. That it fails the receiver sees, too. mu is held.
func (r *Remote) send(b []byte) {
	if len(b) > 0 && !r.gone {
		_, _ = r.conn.Write(b)
	}
}

// receive takes answers until the other process is gone, or says what no Server says.
func (r *Remote) receive() {
	b := make([]byte, maxMessage+maxMessage/2)
	for {
		n, err := r.conn.Read(b)
		if err == nil {
			err = r.take(b[:n])
		}
		if err != nil {
			break
		}
	}
	r.mu.Lock()
	r.gone = true
	left := r.asked
	r.asked = nil
	r.stats.NotFound[Failed] += uint64(len(left))
	r.mu.Unlock()
	for _, done := range left {
		done(Process{}, Failed)
	}
}

func (r *Remote) take(message []byte) error {
	read := reader{b: message}
	for len(read.b) > 0 {
		a := read.answer()
		if read.bad {
			return errMessage
		}
		r.mu.Lock()
		done, ok := r.asked[a.id]
		delete(r.asked, a.id)
		if ok {
			r.count(a.reason)
		}
		r.mu.Unlock()
		if !ok {
			return errMessage
		}
		done(a.process, a.reason)
	}
	return nil
}

// Close returns when all searches have ended. None may begin after it was called.
func (r *Remote) Close() error {
	if err := r.conn.CloseWrite(); err != nil {
		return fmt.Errorf("end searches: %w", err)
	}
	r.done.Wait()
	return r.Finder.Close()
}
