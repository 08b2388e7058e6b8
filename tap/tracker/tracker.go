package tracker

import (
	"sync/atomic"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tracker/kept"
	"syntap/tap/tracker/tuple"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Options configure a Tracker. The zero value is useful for captures.
type Options struct {
	// OnRecord receives each handshake at its verdict. The record is the receiver's. If nil,
	// records are only counted.
	OnRecord func(*handshake.Record)
	// OnSegment receives each segment of a handshake as it passes, before the record that holds it
	// too. nil disables it.
	//
	// Both functions are called with no lock held, the calls about one handshake one after the
	// other and in the order of its segments. They run on the packet path and must not block.
	OnSegment func(flow.Key, handshake.Segment)

	// HalfOpen is the largest number of handshakes without a verdict, or with one that has not
	// settled, beyond which the oldest one of the shard ends early. 0 means 131072; a negative
	// number means no limit, neither on handshakes nor, without Limits, on connections.
	HalfOpen int
	// Limits bounds states. The zero value means DefaultLimits.
	Limits Limits
	// Shards is the number of parts of the table that are locked on their own; 0 means 1.
	Shards int

	// Live has verdicts fall at once, in the order in which segments arrive: there is a link, which
	// has none of a capture's faults. The rules of captures are in the package's documentation.
	Live bool
	// Linger returns the state of a flow whose handshake has failed. If nil, it is Entry.Linger.
	// Like Counted it is called with the shard locked and must not block.
	Linger func(*Entry, handshake.Outcome) State
	// Counted is called when a flow begins (1) or ceases (-1) to be in a counted state. nil
	// disables it.
	Counted func(e *Entry, delta int)
}

// Limits bounds each state.
type Limits struct {
	Lifetime [States]time.Duration // a flow's time in the state; 0 if only events end it
	Capacity [States]int           // flows in the state, beyond which the oldest leaves; 0: no limit
}

const (
	// silence of both ends ends a connect that was answered: the same SYN is a new one after that.
	silence = 10 * time.Second
	// waiting is how many flows may have segments that wait for their SYN.
	waiting = 16384
	// connections bounds those that have not closed to some 250 MB.
	connections = 1 << 20
)

// defaultHalfOpen bounds a Tracker's memory to some 150 MB.
const defaultHalfOpen = 128 << 10

// DefaultLimits returns limits for captures, whose connections close by themselves: so many may be
// open or have failed lately.
func DefaultLimits(connections int) (l Limits) {
	l.Lifetime[StateClosed], l.Lifetime[StateSettling] = silence, silence
	l.Capacity[StateEstablished], l.Capacity[StateClosed] = connections, connections
	l.Capacity[StateEarly] = waiting
	return l
}

// Tracker follows handshakes from the first SYN of each to its verdict. It is safe for concurrent
// use.
type Tracker struct {
	o      Options
	limits Limits // changes with all shards locked

	seed   tuple.Seed
	shards []Shard
	filter tuple.Filter // of watched flows
	count  [States]atomic.Int64

	serial     atomic.Uint64
	handshakes [handshake.NumOutcomes]atomic.Uint64
	evicted    atomic.Uint64 // handshakes that Options.HalfOpen has ended
	crowded    atomic.Uint64 // handshakes that MaxFormer has ended
	hurried    atomic.Uint64 // verdicts that a limit has not let settle
	forgotten  atomic.Uint64 // connections that a limit has taken out of the table
	former     atomic.Int64  // handshakes of captures that later SYNs have superseded

	order  uint64      // TCP segments of the capture
	recent kept.Recent // of them
}

// New returns a tracker without flows.
func New(o Options) *Tracker {
	if o.HalfOpen == 0 {
		o.HalfOpen = defaultHalfOpen
	}
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits(connections)
		if o.HalfOpen < 0 {
			o.Limits.Capacity[StateEstablished], o.Limits.Capacity[StateClosed] = 0, 0
		}
	}
	if o.Linger == nil {
		o.Linger = (*Entry).Linger
	}
	t := &Tracker{
		o: o, limits: o.Limits, seed: tuple.NewSeed(), shards: make([]Shard, max(1, o.Shards)),
	}
	for i := range t.shards {
		t.shards[i].t, t.shards[i].flows = t, make(map[tuple.Key]*Entry)
	}
	return t
}

// SetLimits puts limits in force for flows that enter a state from now on, and calls wrapper, if it
// is not nil, with all shards locked. A flow with a longer lifetime may hold up the expiry of later
// ones until its own.
func (t *Tracker) SetLimits(l Limits, wrapper func()) {
	for i := range t.shards { // readers have one of them locked
		t.shards[i].mu.Lock()
		defer t.shards[i].mu.Unlock()
	}
	t.limits = l
	if wrapper != nil {
		wrapper()
	}
}

// Lifetime returns a flow's time in a state.
func (t *Tracker) Lifetime(s State) time.Duration {
	t.shards[0].mu.Lock()
	defer t.shards[0].mu.Unlock()
	return t.limits.Lifetime[s]
}

// Concerns reports whether a TCP segment can matter to a handshake. It is called for each segment.
func (t *Tracker) Concerns(p *tuple.Packet) bool {
	p.Hash = t.seed.Hash(&p.Flow)
	return p.Flags&(packet.SYN|packet.RST) != 0 || t.filter.Has(p.Hash)
}

// Shard returns the part of the table that has the packet's flow. It uses other bits of the hash
// than the filter does.
func (t *Tracker) Shard(p *tuple.Packet) *Shard {
	p.Hash = t.seed.Hash(&p.Flow)
	return &t.shards[p.Hash>>32%uint64(len(t.shards))]
}

// Count returns the number of flows in a state. It costs one load.
func (t *Tracker) Count(s State) int { return int(t.count[s].Load()) }

// HalfOpen returns the number of handshakes without a verdict.
func (t *Tracker) HalfOpen() int {
	return t.Count(StateSYNSent) + t.Count(StateSYNReceived) + int(t.former.Load())
}

// Stats is a snapshot of a tracker's counters.
type Stats struct {
	Handshakes map[handshake.Outcome]uint64 // records, by outcome
	HalfOpen   int                          // handshakes without a verdict
	Flows      int                          // connections that have not closed
	Evicted    uint64                       // handshakes that Options.HalfOpen has ended early
	Crowded    uint64                       // handshakes that have ended early beside MaxFormer others of their flow
	Hurried    uint64                       // verdicts that a limit has not let settle
	Forgotten  uint64                       // connections that a limit has taken out of the table
}

// Stats returns the counters.
func (t *Tracker) Stats() Stats {
	s := Stats{
		Handshakes: make(map[handshake.Outcome]uint64, handshake.NumOutcomes),
		HalfOpen:   t.HalfOpen(),
		Flows:      t.Count(StateEstablished),
		Evicted:    t.evicted.Load(),
		Crowded:    t.crowded.Load(),
		Hurried:    t.hurried.Load(),
		Forgotten:  t.forgotten.Load(),
	}
	for i, o := range handshake.Outcomes() {
		s.Handshakes[o] = t.handshakes[i].Load()
	}
	return s
}
