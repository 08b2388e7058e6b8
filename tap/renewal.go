package tap

import "time"

// renewal bounds how often one 4-tuple may begin another attempt when none gets established: each
// makes a record, and a packet is cheaper. It is a leaky bucket of renewalBurst attempts that loses
// one each renewalInterval (ITU-T I.371, GCRA).
type renewal struct {
	hash  uint64    // of the flow that it is for now; another one takes it over
	empty time.Time // when the bucket will be
}

const (
	renewals        = 1 << 14 // of all shards
	renewalBurst    = 20
	renewalInterval = 50 * time.Millisecond
)

// mayRenew reports whether a flow may begin an attempt, and notes that it does. The shard's lock is
// held.
func (sh *shard) mayRenew(hash uint64, now time.Time) bool {
	if sh.renewals == nil {
		return true
	}
	r := &sh.renewals[hash%uint64(len(sh.renewals))]
	if r.hash != hash || r.empty.Before(now) {
		*r = renewal{hash, now}
	}
	if r.empty.Sub(now) > (renewalBurst-1)*renewalInterval {
		return false
	}
	r.empty = r.empty.Add(renewalInterval)
	return true
}

// renewed is for a flow whose attempt was established: it may begin the next one at once.
func (sh *shard) renewed(hash uint64) {
	if sh.renewals == nil {
		return
	}
	if r := &sh.renewals[hash%uint64(len(sh.renewals))]; r.hash == hash {
		*r = renewal{}
	}
}
