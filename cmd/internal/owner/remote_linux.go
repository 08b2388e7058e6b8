package owner

import (
	"io"
	"net/netip"
	"slices"
	"sync"
)

// Remote finds owners as a Finder does, but another process makes its searches. It asks the kernel
// for sockets itself, which takes no right.
type Remote struct {
	*kernel
	ask   func(questions []byte) bool
	lacks []string // of the other process

	done sync.WaitGroup // searches that go on

	mu      sync.Mutex // guards all below; kernel.mu is taken with it
	ends    []byte     // items that go along with the next questions
	asked   map[uint32]func(Process, Reason)
	last    uint32 // id of a question
	message []byte
	gone    bool // the other process is
}

// NewRemote returns a finder for a network namespace, as NewFinder does. ask sends a message for
// Finder.Serve of the other process, and reports whether it is on its way; it does not keep it, and
// must not block. Take gets the answers. lacks is Finder.Lacks in the other process.
func NewRemote(n *Network, ask func(questions []byte) bool, lacks []string) (*Remote, error) {
	k, err := newKernel(n)
	if err != nil {
		return nil, err
	}
	return &Remote{kernel: k, ask: ask, lacks: lacks, asked: make(map[uint32]func(Process, Reason))}, nil
}

// Lacks returns the capabilities without which processes of other users cannot be found.
func (r *Remote) Lacks() []string { return r.lacks }

// SetUsers takes the names of users from a file of the form of passwd(5), and reads none itself
// from now on.
func (r *Remote) SetUsers(f io.Reader) { r.users.set(f) }

// Closed notes that a TCP client has sent its FIN or RST, or that the DNS query of a UDP client was
// answered. Its process is likely to have closed the socket, and to give its descriptor to the next
// one.
func (r *Remote) Closed(client netip.AddrPort) {
	number := r.countEnd()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ends) < maxEnds { // without a hint it takes a look more
		r.ends = appendEnd(r.ends, client, number)
	}
}

// Search is Finder.Search. Answers come later.
func (r *Remote) Search(queries []Query) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for some := range slices.Chunk(queries, maxQuestions) {
		b := append(r.message[:0], r.ends...)
		r.ends = r.ends[:0]
		for i := range some {
			b = appendQuestion(b, &question{r.last + 1 + uint32(i), some[i].Socket})
		}
		r.message = b
		sent := !r.gone && r.ask(b)
		for i := range some {
			q := &some[i]
			if q.Searching = sent; !sent {
				q.Reason = Failed
				r.count(Failed, 1)
				continue
			}
			r.last++
			r.asked[r.last] = q.Done // the answer waits for mu
			r.done.Add(1)
		}
	}
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
	r.count(reason, 1)
}

// count counts searches with a result.
func (r *Remote) count(why Reason, n uint64) {
	r.kernel.mu.Lock()
	defer r.kernel.mu.Unlock()
	r.counted(why, n)
}

// Leave ends all searches: the other process is gone.
func (r *Remote) Leave() {
	r.mu.Lock()
	r.gone = true
	left := r.asked
	r.asked = make(map[uint32]func(Process, Reason))
	r.mu.Unlock()
	r.count(Failed, uint64(len(left)))
	for _, done := range left {
		done(Process{}, Failed)
		r.done.Done()
	}
}

// Take takes an answer. An error says that no Finder gives it.
func (r *Remote) Take(message []byte) error {
	read := reader{b: message}
	a := read.answer()
	r.mu.Lock()
	done, ok := r.asked[a.id]
	if read.bad || len(read.b) > 0 || !ok {
		r.mu.Unlock()
		return errMessage
	}
	delete(r.asked, a.id)
	r.count(a.reason, 1)
	r.mu.Unlock()
	done(a.process, a.reason)
	r.done.Done()
	return nil
}

// Close returns when all searches have ended. None may begin after it was called.
func (r *Remote) Close() error {
	r.done.Wait()
	return r.kernel.Close()
}
