package tap

// Stats is a snapshot of a tap's counters.
type Stats struct {
	Passed      uint64             // outbound frames passed on
	Drops       map[string]uint64  // frames not passed on, by reason
	Handshakes  map[Outcome]uint64 // records, by outcome
	HalfOpen    int                // attempts without a verdict
	Flows       int                // established flows remembered
	MSSRewrites map[string]uint64  // segments whose MSS a rule has changed: syn, synack
	DFRewrites  map[string]uint64  // packets whose DF bit a rule has changed: set, clear
	Evicted     uint64             // attempts and flows forgotten early because a table was full
}

// Open returns the number of attempts without a verdict: each will have a record. It costs a few
// loads.
func (t *Tap) Open() int {
	return int(t.tracker.count[opening].Load() + t.tracker.count[answered].Load())
}
