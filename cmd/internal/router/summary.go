//go:build linux

package router

import (
	"github.com/sirupsen/logrus"

	"syntap/stack"
	"syntap/tap"
)

// summary counts the records of a run, and the packets that it has not carried by reason, as fields
// of one line of the program's log, without zeros.
func summary(t tap.Stats, s *stack.Stats) logrus.Fields {
	fields := make(logrus.Fields)
	add := func(prefix, name string, n uint64) {
		if n == 0 {
			return
		}
		before, _ := fields[prefix+name].(uint64)
		fields[prefix+name] = before + n
	}
	for outcome, n := range t.Handshakes {
		add("", string(outcome), n)
	}
	for _, drops := range []map[string]uint64{t.Drops, s.Drops(), s.InboundDrops()} { // both may drop for the same reason
		for reason, n := range drops {
			add("drop_", reason, n)
		}
	}
	for errno, n := range s.LocalFailures.Snapshot() {
		add("failed_", errno, n)
	}
	add("", "unrecorded", s.Unrecorded.Load())
	add("", "unsolicited", s.Datagrams.Unsolicited.Load())
	add("", "evicted_flows", s.Datagrams.Evicted.Load())
	add("", "evicted_paths", s.EvictedPaths.Load())
	add("", "client_mtus", s.ClientMTUs.Load())
	return fields
}
