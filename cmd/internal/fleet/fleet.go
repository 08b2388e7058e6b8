package fleet

import (
	"context"
	"fmt"
	"time"
)

// LogID names a log in the stores.
type LogID struct {
	Router string
	Log    string // 16 hex digits
}

// Range is records of a log. The times of its records lie between Begin and End, each where it is
// not zero.
type Range struct {
	First, Last uint64 // seq, both included; Last 0 = no end
	Begin, End  time.Time
}

// Run is records that follow each other, each of which a store has Copies times.
type Run struct {
	First, Last uint64 // seq, both included
	Copies      int
}

// Member is a member of a record by which stores are searched.
type Member uint8

// The values of [Member]. With the router, the log, the time and seq they are all that a store has
// beside the line.
const (
	Msg Member = iota
	Proto
	Outcome
	Src
	Dst
	DPort
	Name
	Process
	CommunityID
	NumMembers
)

var keys = [NumMembers]string{
	"msg", "proto", "outcome", "src", "dst", "dport", "name", "process", "community_id",
}

// Key is the key of a member, in a record as in a store.
func (m Member) Key() string { return keys[m] }

// Record is a record on its way to a store.
type Record struct {
	Seq     uint64
	Time    time.Time
	Line    []byte             // without its end
	Members [NumMembers][]byte // their texts; empty = absent

	// Head is the number of the record that the line vouches for, where that is the head of a log
	// (package chain) and no record; Seq is 0 then.
	Head uint64
}

// Batch is records of one log in the order of their numbers.
type Batch struct {
	LogID
	Records []Record
}

// State says how far a store has a log.
type State struct {
	LogID
	First, Last uint64    // seq of the records with the least and the greatest
	Time        time.Time // of the youngest record
}

// Receiver takes records. It may be asked nothing: all that it takes arrives at least once.
type Receiver interface {
	// Put sends a batch. After [Busy] the receiver has taken none of it, after [Rejected] all but
	// some. After every other error it may have taken any part; after [Refused] it would do the
	// same again.
	Put(ctx context.Context, b *Batch) error
	Close() error
}

// Store is a Receiver that says which records it has.
type Store interface {
	Receiver

	// Has returns the records of a range that the store has, the least number first.
	Has(ctx context.Context, id LogID, r Range) ([]Run, error)

	// Logs returns the logs of a router, or with "" those of all, ordered by router and log.
	Logs(ctx context.Context, router string) ([]State, error)

	// Lines calls f with the records of a range in the order of their numbers, as they are in the
	// store, each without its end. A record that is there several times comes once; records that
	// differ and have the same number come each. An error of f ends it.
	Lines(ctx context.Context, id LogID, r Range, f func(seq uint64, line []byte) error) error
}

// Busy is the error of a receiver that takes nothing now.
type Busy struct {
	After time.Duration // for how long, if it says so; 0 = it does not
	Err   error
}

// Error returns the text of the error.
func (b *Busy) Error() string { return b.Err.Error() }

// Unwrap returns the error of the receiver.
func (b *Busy) Unwrap() error { return b.Err }

// Refused is the error of a receiver that would not take a batch later either.
type Refused struct {
	TooLarge bool // the batch, but not each record by itself
	Err      error
}

// Error returns the text of the error.
func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap returns the error of the receiver.
func (r *Refused) Unwrap() error { return r.Err }

// String returns the name as people see it.
func (id LogID) String() string { return fmt.Sprintf("%s, log %s", id.Router, id.Log) }

// Rejected is the error of a receiver that has taken a batch, but for some records.
type Rejected struct {
	N   uint64
	Err error
}

// Error returns the text of the error.
func (r *Rejected) Error() string { return r.Err.Error() }

// Unwrap returns the error of the receiver.
func (r *Rejected) Unwrap() error { return r.Err }
