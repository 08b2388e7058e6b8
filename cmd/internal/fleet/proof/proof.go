package proof

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/search"
	"syntap/cmd/internal/record"
)

// Options say which logs are verified, and by which keys and heads.
type Options struct {
	Router string   // "" = all
	Key    string   // file of the key of all routers; "" = none
	Master string   // file of the key that those of the routers are made of; "" = none
	Heads  []string // files with heads
}

// Log is the result for one log.
type Log struct {
	fleet.LogID
	chain.Verified
}

// Verify verifies the logs that a store has and calls each with the result for each of them.
// missing are logs that it should have.
func Verify(
	ctx context.Context, store search.Engine, o Options, each func(*Log) error,
) (missing []string, err error) {
	v := &verifier{store: store, o: o, heads: make(map[fleet.LogID][]chain.Witness)}
	if err := v.readKeys(); err != nil {
		return nil, err
	}
	if v.logs, err = store.Logs(ctx, o.Router); err != nil {
		return nil, err
	}
	if err := v.findHeads(ctx); err != nil {
		return nil, err
	}
	for i := range v.logs {
		log, err := v.log(ctx, &v.logs[i])
		if err != nil {
			return nil, err
		}
		if err := each(log); err != nil {
			return nil, err
		}
		delete(v.heads, log.LogID)
	}
	return v.missing(), nil
}

// verifier verifies the logs of a store.
type verifier struct {
	store  search.Engine
	o      Options
	key    []byte // of all routers, or the master
	logs   []fleet.State
	heads  map[fleet.LogID][]chain.Witness
	broken []broken
}

// broken is a head in the store that is none.
type broken struct {
	fleet.LogID
	err error
}

func (v *verifier) readKeys() (err error) {
	for _, file := range []string{v.o.Key, v.o.Master} {
		if file != "" {
			if v.key, err = chain.ReadKey(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// chainOf returns the chain of a router's log.
func (v *verifier) chainOf(router string) *record.Chain {
	if v.o.Master != "" {
		return record.NewChain(chain.KeyOf(v.key, router))
	}
	return record.NewChain(v.key)
}

// log verifies a log.
func (v *verifier) log(ctx context.Context, s *fleet.State) (*Log, error) {
	var first []byte
	read := func(f func(line []byte) error) error {
		r := fleet.Range{First: s.First, Last: s.Last}
		return v.store.Lines(ctx, s.LogID, r, func(_ uint64, line []byte) error {
			if first == nil {
				first = bytes.Clone(line)
			}
			return f(line)
		})
	}
	result, err := chain.VerifyLines(v.chainOf(s.Router), s.LogID.String(), v.heads[s.LogID], read)
	if err != nil {
		return nil, err
	}
	log := &Log{s.LogID, result}
	say := func(format string, args ...any) {
		log.Breaks = append(log.Breaks, s.LogID.String()+": "+fmt.Sprintf(format, args...))
	}
	for _, b := range v.broken {
		if b.LogID == s.LogID {
			say("a head in the store: %v", b.err)
		}
	}
	switch {
	case chain.IsPartial(first):
	case s.First == 1 && fleet.LogIDOf(first) != s.Log:
		say("its name is not that of its first record, which was altered")
	case s.First > 1:
		if of := v.forkOf(s, first); of != "" {
			say("it goes on from log %s with other records from seq %d on: "+
				"two hosts have the router's name, or its disk was rolled back", of, s.First)
		}
	}
	return log, nil
}

// forkOf returns the log that another one with that first line is a fork of; "" if it is none of
// those in the store.
func (v *verifier) forkOf(s *fleet.State, first []byte) string {
	i := slices.IndexFunc(v.logs, func(o fleet.State) bool {
		return o.Router == s.Router && fleet.IsFork(o.Log, s.Log, first)
	})
	if i < 0 {
		return ""
	}
	return v.logs[i].Log
}

// missing names the logs of which there are heads and no records.
func (v *verifier) missing() (all []string) {
	for id, heads := range v.heads {
		if v.o.Router == "" || id.Router == "" || id.Router == v.o.Router {
			all = append(all, fmt.Sprintf("%s is missing: %s says that it goes up to seq %d",
				id, heads[0].Place, heads[0].Seq))
		}
	}
	slices.Sort(all)
	return all
}
