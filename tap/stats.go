package tap

import "syntap/tap/tracker"

// Stats is a snapshot of a tap's counters.
type Stats struct {
	tracker.Stats
	Passed      uint64            // outbound frames passed on
	Drops       map[string]uint64 // frames not passed on, by reason
	MSSRewrites map[string]uint64 // segments whose MSS a rule has changed: syn, synack
	DFRewrites  map[string]uint64 // packets whose DF bit a rule has changed: set, clear
}

// Open returns the number of handshakes without a verdict: each will have a record. It costs a few
// loads.
func (t *Tap) Open() int { return t.live.HalfOpen() }

// Stats returns the counters of all queues.
func (t *Tap) Stats() Stats {
	s := Stats{Stats: t.live.Stats(), Passed: t.passed.Load(), Drops: t.drops.snapshot()}
	for _, o := range t.others {
		s.Passed += o.passed.Load()
		for reason, n := range o.drops.snapshot() {
			s.Drops[reason] += n
		}
	}
	s.MSSRewrites, s.DFRewrites = t.rewrites.snapshot()
	return s
}
