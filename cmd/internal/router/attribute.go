//go:build linux

package router

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/web"
	"syntap/tap/handshake"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// attribution names the local program in the records of connections and flows. It asks the kernel
// for the user when the SYN, or the first datagram, passes. It searches for the process while the
// far side is dialled: at its answer, together with those of all SYNs that have passed meanwhile,
// or after searchAfter. A search takes 2 ms, longer on a busy machine. The client's answer and the
// record wait for it: a client that has its answer may close its socket, or end.
type attribution struct {
	finder *owner.Remote
	local  func(netip.Addr) bool        // whose processes are to be found
	next   func(*record.Attributed)     // takes records that are complete
	demand atomic.Uint32                // a demand
	last   atomic.Pointer[record.Owner] // that was found

	mu       sync.Mutex    // guards all below
	lastUser *record.Owner // see user
	// The last attempts, also those that have failed: a client that has had no answer sends its SYN
	// again. When there are maxAttempts, the older map goes.
	attempts, older map[flow.Key]*attributed
	datagrams       map[*flow.Datagram][]func() // for which a search goes on; to be called when it is over
	pending         []*attributed               // attempts whose search has not begun
	overdue         *time.Timer                 // begins it
	searches        sync.WaitGroup              // calls that go on
}

// demand says which owners are asked for.
type demand uint32

const (
	noOwners demand = iota
	users           // by rules and names; no search goes on
	written         // programs, by the records that are written alone
	programs        // by more than these
)

// attributed is an attempt of a local client.
type attributed struct {
	socket    owner.Socket
	owner     *record.Owner // nil = unknown
	searching bool          // for its process
	waiting   []func()      // to be called when that is over
}

// searchAfter is how long after its SYN the process of an attempt is searched for, if the far side
// has not answered.
const searchAfter = time.Millisecond

// maxAttempts is how many attempts are kept beside as many older ones. Those that are open are far
// fewer, or get new owners.
const maxAttempts = 8192

// newAttribution returns one that asks a finder, which it takes over, and passes records on to
// next. Close ends it.
func newAttribution(
	finder *owner.Remote, local func(netip.Addr) bool, next func(*record.Attributed),
) *attribution {
	a := &attribution{
		finder: finder, local: local, next: next,
		attempts: make(map[flow.Key]*attributed), datagrams: make(map[*flow.Datagram][]func()),
	}
	a.overdue = time.AfterFunc(searchAfter, a.search)
	return a
}

// segment takes a segment as it passes, for tap.Options.OnSegment.
func (a *attribution) segment(k flow.Key, s handshake.Segment) {
	if !isSYN(&s) || !a.local(k.Client.Addr()) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempt(k)
}

// attempt returns the entry of an attempt, and asks who its owner is the first time. mu is
// held.
func (a *attribution) attempt(k flow.Key) *attributed {
	if t := a.find(k); t != nil {
		return t
	}
	if len(a.attempts) >= maxAttempts {
		a.attempts, a.older = make(map[flow.Key]*attributed), a.attempts
	}
	t := new(attributed)
	a.attempts[k] = t
	asked := a.asked()
	if asked == noOwners {
		return t
	}
	socket, ok := a.finder.Socket(flow.TCP, k.Client, k.Server)
	if !ok {
		return t
	}
	t.socket, t.owner = socket, a.user(socket.UID)
	if t.searching = asked >= written; t.searching {
		if len(a.pending) == 0 {
			a.overdue.Reset(searchAfter)
		}
		a.pending = append(a.pending, t)
	}
	return t
}

// user returns an owner of which only the user is known.
func (a *attribution) user(uid uint32) *record.Owner {
	if last := a.lastUser; last != nil && last.UID == uid {
		return last
	}
	a.lastUser = &record.Owner{UID: uid}
	return a.lastUser
}

// search searches for the processes of all attempts for which that has not begun.
func (a *attribution) search() {
	a.mu.Lock()
	pending := a.pending
	a.pending = nil
	if len(pending) == 0 {
		a.mu.Unlock()
		return
	}
	a.searches.Add(1)
	defer a.searches.Done()
	a.mu.Unlock()
	queries := make([]owner.Query, len(pending))
	for i, t := range pending {
		queries[i] = owner.Query{Socket: t.socket, Done: func(p owner.Process, _ owner.Reason) { a.found(t, p) }}
	}
	a.finder.Search(queries)
	for i, t := range pending {
		if q := &queries[i]; !q.Searching {
			a.found(t, q.Process)
		}
	}
}

// ask says which owners are asked for from now on, and logs which records will not name.
func (a *attribution) ask(d demand, log logrus.FieldLogger) {
	if was := demand(a.demand.Swap(uint32(d))); was < written && d >= written {
		a.announce(log)
	}
}

func (a *attribution) asked() demand { return demand(a.demand.Load()) }

// ownerOf returns the owner of a socket. It is the last one if that is the same: a process may have
// thousands of connections.
func (a *attribution) ownerOf(s owner.Socket, p owner.Process) *record.Owner {
	o := a.finder.Owner(s, p)
	if last := a.last.Load(); last != nil && *last == o {
		return last
	}
	own := o // else each o would be allocated
	a.last.Store(&own)
	return &own
}

func (a *attribution) find(k flow.Key) *attributed {
	if t := a.attempts[k]; t != nil {
		return t
	}
	return a.older[k]
}

// owner returns the owner of an attempt, of which only the user may be known yet; nil if none is.
func (a *attribution) owner(k flow.Key) *record.Owner {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.find(k); t != nil {
		return t.owner
	}
	return nil
}

// found ends the search for the process of an attempt.
func (a *attribution) found(t *attributed, p owner.Process) {
	o := a.ownerOf(t.socket, p)
	a.mu.Lock()
	t.searching, t.owner = false, o
	waiting := t.waiting
	t.waiting = nil
	a.mu.Unlock()
	for _, f := range waiting {
		f()
	}
}

// beforeAnswer calls answer when the owner of an attempt is known, or will not be, for
// stack.Options.BeforeAnswer.
func (a *attribution) beforeAnswer(k flow.Key, answer func()) {
	if !a.local(k.Client.Addr()) {
		answer()
		return
	}
	a.mu.Lock()
	t := a.attempt(k)
	waits := t.searching
	if waits {
		t.waiting = append(t.waiting, answer)
	}
	a.mu.Unlock()
	if waits {
		a.search()
	} else {
		answer()
	}
}

// clientEnds notes that a client has sent its FIN or RST, for stack.Options.ClientEnds.
func (a *attribution) clientEnds(client netip.AddrPort) {
	if a.asked() >= written && a.local(client.Addr()) {
		a.finder.Closed(client)
	}
}

// record takes a record, for tap.Options.OnRecord, and passes it on with its owner: at once where
// no search goes on for it.
func (a *attribution) record(r *handshake.Record) {
	a.mu.Lock()
	t := a.find(r.Key())
	waits := t != nil && t.searching
	if waits {
		t.waiting = append(t.waiting, func() { a.pass(r, t) })
	}
	a.mu.Unlock()
	if waits {
		a.search()
	} else {
		a.pass(r, t)
	}
}

// pass passes a record on with its owner; t is nil where none was looked for.
func (a *attribution) pass(r *handshake.Record, t *attributed) {
	opening := new(record.Opening)
	if t != nil {
		opening.Owner = t.owner
	}
	if r.Outcome == handshake.Established { // its SYN comes no more
		a.mu.Lock()
		delete(a.attempts, r.Key())
		delete(a.older, r.Key())
		a.mu.Unlock()
	}
	a.next(&record.Attributed{Record: r, Opening: opening})
}

// isSYN reports whether a segment is a SYN without ACK.
func isSYN(s *handshake.Segment) bool {
	flags := int(s.TCP) + packet.TCPFlags
	return len(s.Packet.Data) > flags &&
		s.Packet.Data[flags]&(packet.SYN|packet.ACK) == packet.SYN
}

// close returns when all records have been passed on. None may come after.
func (a *attribution) close() error {
	a.overdue.Stop()
	a.search()
	a.searches.Wait()
	return a.finder.Close()
}

// status says whose owners can be found, and how many have been.
func (a *attribution) status() *web.Owners {
	s := a.finder.Stats()
	o := &web.Owners{Lacks: a.finder.Lacks(), Found: s.Found, NotFound: make(map[string]uint64)}
	for reason, n := range s.NotFound {
		o.NotFound[string(reason)] = n
	}
	return o
}

// ownersFor returns which owners a config asks for.
func (r *router) ownersFor(c *config.Config) demand {
	switch {
	case !r.namesOwners:
		return noOwners
	case r.attempted != nil:
		return programs
	case r.log.NamesOwners():
		return written
	case c.Egress.NeedsOwners():
		return users
	}
	return noOwners
}

// attribute returns the attribution that has records name their owners, nil where they never will,
// and the status of it.
func (r *router) attribute(next func(*record.Attributed)) (*attribution, func() *web.Owners) {
	asked := r.ownersFor(r.config)
	if !r.namesOwners || asked == noOwners && r.reloads == nil {
		return nil, func() *web.Owners { return nil }
	}
	finder, err := r.searches.begin(r.network)
	if err != nil {
		r.logger.WithError(err).Warn("records will not name local users and processes")
		return nil, func() *web.Owners { return &web.Owners{Error: err.Error()} }
	}
	a := newAttribution(finder, r.local(), next)
	a.ask(asked, r.logger)
	return a, a.status
}

// announce says which owners records will not name.
func (a *attribution) announce(log logrus.FieldLogger) {
	if lacks := a.finder.Lacks(); len(lacks) > 0 {
		const hint = "give it to syntap: with systemd by the drop-in share/doc/syntap/configs/attribute.conf, in a container by --cap-add"
		log.WithFields(logrus.Fields{"lacks": lacks, "hint": hint}).
			Info("records name users, but no processes of other users")
	}
}
