package app

import (
	"net/netip"
	"sync"

	"syntap/cmd/internal/owner"
	"syntap/tap"
)

// attribution names the local process in the records of its attempts. It works in a goroutine of its own: a process is looked
// up when its SYN has passed, while the far side is dialled. A record that comes before the answer waits for it in the same
// queue; others are passed on at once.
type attribution struct {
	finder *owner.Finder
	local  func(netip.Addr) bool // whose processes are to be found
	next   func(*tap.Record)
	queue  chan attributed
	done   sync.WaitGroup // the goroutine

	mu     sync.Mutex             // guards the one below
	owners map[tap.Key]*tap.Owner // of attempts without a record; nil = looked for
}

// attributed is an attempt whose SYN, or whose record, has come.
type attributed struct {
	key    tap.Key
	record *tap.Record // nil: the SYN
}

const (
	maxQueued = 2048  // memory for all of them is always there
	maxOwners = 16384 // of attempts that are open
)

// newAttribution returns one that passes records on to next, from its own goroutine or the caller's. Close ends it.
func newAttribution(local func(netip.Addr) bool, next func(*tap.Record)) (*attribution, error) {
	finder, err := owner.NewFinder()
	if err != nil {
		return nil, err
	}
	a := &attribution{
		finder: finder, local: local, next: next,
		queue: make(chan attributed, maxQueued), owners: make(map[tap.Key]*tap.Owner),
	}
	a.done.Go(a.run)
	return a, nil
}

// segment takes a segment as it passes, for tap.Options.OnSegment. An owner is looked for once for an attempt, and not for all
// of too many.
func (a *attribution) segment(k tap.Key, s tap.Segment) {
	if !isSYN(s.Packet.Data) || !a.local(k.Client.Addr()) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, again := a.owners[k]; again || !a.finder.Allow() || !a.enqueue(attributed{key: k}) {
		return
	}
	if len(a.owners) >= maxOwners {
		clear(a.owners)
	}
	a.owners[k] = nil
}

// record takes a record, for tap.Options.OnRecord.
func (a *attribution) record(r *tap.Record) {
	k := keyOf(r)
	a.mu.Lock()
	owner, expected := a.owners[k]
	waits := expected && owner == nil && a.enqueue(attributed{key: k, record: r})
	if expected && !waits {
		delete(a.owners, k)
	}
	a.mu.Unlock()
	if !waits {
		r.Owner = owner
		a.next(r)
	}
}

// enqueue reports whether there was room. mu is held, so that nothing is taken out of the queue before it is noted.
func (a *attribution) enqueue(i attributed) bool {
	select {
	case a.queue <- i:
		return true
	default:
		return false
	}
}

// pass names the owner of a record that has waited, if it has been found, and passes it on.
func (a *attribution) pass(k tap.Key, r *tap.Record) {
	a.mu.Lock()
	r.Owner = a.owners[k]
	delete(a.owners, k)
	a.mu.Unlock()
	a.next(r)
}

func keyOf(r *tap.Record) tap.Key {
	return tap.Key{Client: r.Client, Server: r.Server, ISN: r.ClientISN}
}

// isSYN reports whether a packet is a SYN without ACK. Where extension headers hide it nobody is looked up.
func isSYN(packet []byte) bool {
	const tcp, syn, synACK = 6, 0x02, 0x12
	offset, proto := 40, 6
	if packet[0]>>4 == 4 {
		offset, proto = int(packet[0]&15)*4, 9
	}
	return len(packet) > offset+13 && packet[proto] == tcp && packet[offset+13]&synACK == syn
}

func (a *attribution) run() {
	for i := range a.queue {
		if i.record != nil {
			a.pass(i.key, i.record)
		} else {
			a.find(i.key)
		}
	}
}

func (a *attribution) find(k tap.Key) {
	o, ok := a.finder.Find(k.Client, k.Server)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch _, expected := a.owners[k]; {
	case !expected: // its record has gone
	case ok:
		a.owners[k] = &o
	default:
		delete(a.owners, k)
	}
}

// close returns when all records have been passed on. None may come after.
func (a *attribution) close() error {
	close(a.queue)
	a.done.Wait()
	return a.finder.Close()
}
