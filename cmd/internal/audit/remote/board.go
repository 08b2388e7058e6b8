//go:build linux

package remote

import "syntap/cmd/internal/audit"

// Words of the keeper's board.
const (
	stateWord   = iota // bits, below
	roomWord           // handshakes whose records find room
	takenWord          // messages that the keeper has taken
	queueWord          // records lost to full queues
	writeWord          // records lost to write errors
	invalidWord        // routers before this one that have sent what is no record
)

// Bits of the state. The first tells that there is one.
const (
	known = 1 << iota
	handshakesWait
	datagramsWait
	handshakesGated
	datagramsGated
	recordsWanted
	segmentsWanted
	ownersNamed
)

func stateBits(s audit.State) uint64 {
	bits := uint64(known)
	for _, b := range [...]struct {
		set bool
		bit uint64
	}{
		{s.Handshakes, handshakesWait},
		{s.Datagrams, datagramsWait},
		{s.GatedHandshakes, handshakesGated},
		{s.GatedDatagrams, datagramsGated},
		{s.Records, recordsWanted},
		{s.Segments, segmentsWanted},
		{s.Owners, ownersNamed},
	} {
		if b.set {
			bits |= b.bit
		}
	}
	return bits
}

// Messages of the keeper: their first byte.
const (
	written  = iota + 1 // then ids, eight bytes each: their records are written
	reloaded            // then the error, if there is one, and behind a zero its hint, if it has one
	searched            // then the results of searches for owners, one byte each
	replied             // then the answer to a question of Ask
)

// Messages of a router that are none of package compact.
const (
	askReload      = 0xff // it has taken another config
	said           = 0xfe // then words
	anAnnouncement = 0xfd // see announce.go
	asked          = 0xfc // then questions
)
