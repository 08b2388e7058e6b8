//go:build linux

package sent

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"syntap/tun/flow"
)

// Options configure a Tally. All are needed.
type Options struct {
	// Look has all that the router has announced and recorded up to now be told to the Tally; done
	// reports whether that is over.
	Look func() (done func() bool)
	// Gated reports whether nothing of a connection or flow leaves before its record is written.
	// Where it is not, records may be lost on their way, and connections go on.
	Gated func(flow.Proto) bool
	// Patience returns how long a connection may be without a record that sends nothing.
	Patience func() time.Duration
	// Found gets flows that are on no record. It is called by the goroutine of Run.
	Found func([]Unrecorded)
}

// Unrecorded is the flows to one destination that were sent for no good reason.
type Unrecorded struct {
	Proto  flow.Proto
	Remote netip.AddrPort // of ICMP with the port 0
	Flows  int
	Reason Reason
}

// Reason tells how flows were found out.
type Reason string

// The values of [Reason].
const (
	Unannounced Reason = "the router has not said that it connects there"
	Unwritten   Reason = "bytes have left that no record precedes"
	Late        Reason = "no record has followed"
)

// Stats are the counts of a Tally since its beginning.
type Stats struct {
	Sent       uint64 // connections and flows that the kernel has seen
	Own        uint64 // connections of the router's own among them
	Unrecorded uint64
	Unjudged   uint64 // of which nothing can be said, since records were lost on their way
	Missed     uint64 // packets that the kernel could not tell of
}

// Tally compares what a router has sent with what it has announced and recorded. A nil Tally does
// nothing. It is safe for concurrent use.
type Tally struct {
	o    Options
	seed maphash.Seed

	mu        sync.Mutex // guards all below
	stats     Stats
	announced counts // connections that have not been seen yet, by destination
	own       counts // those of the router's own
	pending   map[uint64]*pending
	recorded  set            // connections on record that have not been seen yet
	seen      set            // SYNs of connections that are not pending any more
	remotes   set            // destinations of connections on record
	open      map[uint64]int // flows without a handshake on record that are not over, by destination
	ended     set            // destinations of those that are over
	trusted   set            // destinations of the keeper's own datagrams

	suspects []suspect   // the oldest first
	waiting  int         // of them, for an announcement
	done     func() bool // nil = no look is under way
	lost     time.Time   // records were, last
	rotated  time.Time
}

// pending is a connection that was sent and is on no record yet.
type pending struct {
	isn       uint32
	remote    netip.AddrPort
	since     time.Time
	announced bool
	own       bool
	orphan    bool // its router has ended
}

// suspect is a packet that should not have left, as far as has been said.
type suspect struct {
	reason Reason
	proto  flow.Proto
	remote netip.AddrPort
	key    uint64 // of TCP the connection's, else the destination's
	never  bool   // no router sends such a packet
	looked bool   // it was there when the look under way began
}

// Bounds of what is remembered. Of sets the older half is forgotten when the newer is full.
const (
	mostPending   = 1 << 17
	mostSuspects  = 1 << 12
	mostRemotes   = 1 << 16
	mostAnnounced = 1 << 15
	mostSeen      = 1 << 18
	mostTrusted   = 1 << 10
)

// New returns a Tally of nothing.
func New(o Options) *Tally {
	return &Tally{
		o: o, seed: maphash.MakeSeed(), pending: make(map[uint64]*pending), open: make(map[uint64]int),
		announced: counts{most: mostAnnounced}, own: counts{most: mostAnnounced},
		recorded: set{most: mostSeen}, seen: set{most: mostSeen}, remotes: set{most: mostRemotes},
		ended: set{most: mostRemotes}, trusted: set{most: mostTrusted}, rotated: time.Now(),
	}
}

// hash stands for a flow, or its destination. The router does not know the seed, so that it cannot
// choose flows that are taken for others.
func (t *Tally) hash(p flow.Proto, ends ...netip.AddrPort) uint64 {
	b := append(make([]byte, 0, 40), byte(p))
	for _, e := range ends {
		a := e.Addr().As16()
		b = append(b, a[:]...)
		b = binary.NativeEndian.AppendUint16(b, e.Port())
	}
	return maphash.Bytes(t.seed, b)
}

// Announce notes that the router is about to connect, for a client or, where own is set, for
// itself.
func (t *Tally) Announce(to netip.AddrPort, own bool) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.announcedBy(own).add(t.hash(flow.TCP, to))
}

func (t *Tally) announcedBy(own bool) *counts {
	if own {
		return &t.own
	}
	return &t.announced
}

// Connected notes that a connection is on record, or an attempt.
func (t *Tally) Connected(local, remote netip.AddrPort) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remotes.add(t.hash(flow.TCP, remote))
	if !local.IsValid() {
		return
	}
	k := t.hash(flow.TCP, local, remote)
	p := t.pending[k]
	if p == nil || p.orphan || time.Since(p.since) > fresh { // it may be of another one, with the same ends
		t.recorded.add(k)
	}
	if p != nil {
		t.isAnnounced(p)
		t.forget(k, p.isn)
	}
}

// fresh is for how long the ends of a connection that is pending can be those of no other: the
// kernel takes a port again when it has taken thousands of others.
const fresh = time.Second

// forget has a connection be pending no more. mu is held.
func (t *Tally) forget(k uint64, isn uint32) {
	delete(t.pending, k)
	t.seen.add(seenKey(k, isn))
}

// seenKey stands for a SYN.
func seenKey(connection uint64, isn uint32) uint64 {
	return connection + uint64(isn)*0x9e3779b97f4a7c15
}

// Begun notes that a flow without a handshake is on record. Where ends is not set, Ended is not
// called for it.
func (t *Tally) Begun(p flow.Proto, remote netip.AddrPort, ends bool) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.hash(p, remote)
	if !ends {
		t.ended.add(k)
		return
	}
	t.open[k]++
}

// Ended notes that one of them is over.
func (t *Tally) Ended(p flow.Proto, remote netip.AddrPort) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.hash(p, remote)
	t.ended.add(k)
	if t.open[k]--; t.open[k] <= 0 {
		delete(t.open, k)
	}
}

// Trust notes that the keeper itself is about to send to a destination.
func (t *Tally) Trust(p flow.Proto, remote netip.AddrPort) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.hash(p, remote)
	if p == flow.TCP {
		t.own.add(k)
		t.remotes.add(k)
		return
	}
	t.trusted.add(k)
}

// Lost notes that records of the router may be lost on their way.
func (t *Tally) Lost() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost = time.Now()
}

// Forget notes that the router has ended: its connections that have sent nothing get no record.
func (t *Tally) Forget() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pending {
		p.orphan = true
	}
	for k := range t.open {
		t.ended.add(k)
	}
	clear(t.open)
}

// Stats returns the counts.
func (t *Tally) Stats() Stats {
	if t == nil {
		return Stats{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}
