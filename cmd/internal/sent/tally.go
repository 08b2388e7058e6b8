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
	// IsOpen reports whether a process has a socket that is connected, or connects, between two
	// ends. It may take some time.
	IsOpen func(local, remote netip.AddrPort) bool
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
	Own        uint64 // connections that were announced as the router's own
	Unrecorded uint64
	Unjudged   uint64 // of which nothing can be said, since records were lost on their way, or forgotten
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
	measured  set    // destinations of connections of the router's own
	pending   map[uint64]*pending
	histories histories      // of connections, by their ends
	remotes   set            // destinations of connections on record
	open      map[uint64]int // flows without a handshake on record that are not over, by destination
	ended     set            // destinations of those that are over
	trusted   set            // destinations of the keeper's own connections and datagrams

	suspects []suspect   // the oldest first
	waiting  int         // of them, for an announcement
	done     func() bool // nil = no look is under way
	rotated  time.Time

	// Of the present router.
	blocked                       time.Time // records were perhaps lost, last
	lostHandshakes, lostDatagrams bool      // records that held nothing back
}

// pending is a connection that was sent and is on no record yet.
type pending struct {
	isn           uint32
	local, remote netip.AddrPort
	since         time.Time
	announced     bool
	sent          bool // bytes
	orphan        bool // its router has ended
}

// suspect is a packet that should not have left, as far as has been said.
type suspect struct {
	reason Reason
	proto  flow.Proto
	remote netip.AddrPort
	key    uint64 // of TCP the connection's, else the destination's
	nth    uint16 // of Unwritten: as many connections have sent bytes between its ends
	never  bool   // no router sends such a packet
	looked bool   // it was there when the look under way began
}

// Bounds of what is remembered. Of sets the older half is forgotten when the newer is full.
const (
	mostPending   = 1 << 17
	mostSuspects  = 1 << 12
	mostRemotes   = 1 << 16
	mostAnnounced = 1 << 15
	mostMeasured  = 1 << 15
	mostHistories = 1 << 18
	mostTrusted   = 1 << 10
)

// New returns a Tally of nothing.
func New(o Options) *Tally {
	return &Tally{
		o: o, seed: maphash.MakeSeed(), pending: make(map[uint64]*pending), open: make(map[uint64]int),
		announced: counts{most: mostAnnounced}, measured: set{most: mostMeasured},
		histories: histories{most: mostHistories}, remotes: set{most: mostRemotes},
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
	k := t.hash(flow.TCP, to)
	t.announced.add(k)
	if own {
		t.stats.Own++
		t.measured.add(k)
	}
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
	h := t.histories.get(k)
	h.recorded++
	if c := t.pending[k]; c != nil { // perhaps another one with the same ends
		h.isn, h.known, h.sent = c.isn, true, c.sent
		delete(t.pending, k)
	}
	t.histories.put(k, h)
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
	t.trusted.add(k)
	if p == flow.TCP {
		t.announced.add(k)
		t.measured.add(k)
		t.remotes.add(k)
	}
}

// Blocked notes that records of the router may be lost on their way, because the ring was full.
func (t *Tally) Blocked() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blocked = time.Now()
}

// Lost notes that records of the router were lost on their way. Connections and flows that need not
// wait for them go on without, to their end.
func (t *Tally) Lost() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lostHandshakes = t.lostHandshakes || !t.o.Gated(flow.TCP)
	t.lostDatagrams = t.lostDatagrams || !t.o.Gated(flow.UDP)
}

// Forget notes that the router has ended: its connections that have sent nothing get no record.
func (t *Tally) Forget() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lostHandshakes, t.lostDatagrams = false, false
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
