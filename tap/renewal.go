package tap

import "time"

// renewal bounds how often one 4-tuple may begin another handshake if none gets established: each
// makes a record, and a packet is cheaper. It is a leaky bucket of renewalBurst handshakes that
// loses one each renewalInterval (ITU-T I.371, GCRA).
type renewal struct {
	hash  uint64    // of the flow that has the bucket for now; another flow takes it over
	empty time.Time // when the bucket will be empty
}

const (
	renewals        = 1 << 14 // buckets of all shards; a multiple of their number
	renewalBurst    = 20
	renewalInterval = 50 * time.Millisecond
)

// renewal returns the bucket of a flow. Flows of two shards have none in common, so the lock of the
// flow's shard guards it.
func (l *live) renewal(hash uint64) *renewal {
	const each = renewals / shards
	return &l.renewals[hash>>32%shards*each+hash%each]
}

// mayRenewLocked reports whether a flow may begin another handshake, and counts it.
func (l *live) mayRenewLocked(hash uint64, now time.Time) bool {
	r := l.renewal(hash)
	if r.hash != hash || r.empty.Before(now) {
		*r = renewal{hash, now}
	}
	if r.empty.Sub(now) > (renewalBurst-1)*renewalInterval {
		return false
	}
	r.empty = r.empty.Add(renewalInterval)
	return true
}

// renewed empties the bucket of a flow whose handshake was established.
func (l *live) renewed(hash uint64) {
	if r := l.renewal(hash); r.hash == hash {
		*r = renewal{}
	}
}
