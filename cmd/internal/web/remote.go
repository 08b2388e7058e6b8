package web

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	"syntap/cmd/internal/isolate"
)

// The questions of a server in a process of its own.
const (
	AskShown     = iota // the keeper: Shown, in JSON
	AskStatus           // the router: its Status, in JSON
	AskMetrics          // the router: EncodeMetrics
	AskAlive            // the router: nothing
	AskProcess          // the keeper: EncodeMetrics of the router's process
	AskReady            // the keeper: nothing, or why no traffic is carried now
	AskProcesses        // the keeper: the processes that it knows, in JSON
	AskFleet            // the keeper: Options.Fleet
)

// MaxAnswer bounds the answers of a router, in bytes, and MaxFleet those of a keeper.
const (
	MaxAnswer = maxStatus
	MaxFleet  = 16 << 20
)

// Remote is a router in another process, which Ask asks.
type Remote struct {
	Ask func(ctx context.Context, question byte) ([]byte, error)
	Own []isolate.Process // this one; none where its rights cannot be told
}

// patience is how long a server waits for the answer about a router.
const patience = 8 * time.Second

// Options returns those of a server of the router. With fleet it asks for the fleet's list, too.
func (r *Remote) Options(fleet bool) Options {
	nothing := func(question byte) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := r.ask(ctx, question)
			return err
		}
	}
	o := Options{Status: r.status, Metrics: r, Alive: nothing(AskAlive), Ready: nothing(AskReady)}
	if fleet {
		o.Fleet = func(ctx context.Context) ([]byte, error) { return r.Ask(ctx, AskFleet) }
	}
	return o
}

func (r *Remote) ask(ctx context.Context, question byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.Ask(ctx, question)
}

// Gather implements prometheus.Gatherer.
func (r *Remote) Gather() ([]*dto.MetricFamily, error) {
	var all []*dto.MetricFamily
	for _, question := range []byte{AskMetrics, AskProcess} {
		text, err := r.ask(context.Background(), question)
		if err != nil {
			return nil, err
		}
		some, err := DecodeMetrics(text)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// status returns the state of the router. Of processes the keeper's word counts, where it can see
// them.
func (r *Remote) status(ctx context.Context) (*Status, error) {
	var s Status
	var known []isolate.Process
	for _, q := range []struct {
		question byte
		answer   any
	}{{AskStatus, &s}, {AskProcesses, &known}} {
		text, err := r.ask(ctx, q.question)
		if err == nil {
			err = json.Unmarshal(text, q.answer)
		}
		if err != nil {
			return nil, fmt.Errorf("ask for the state of the router: %w", err)
		}
	}
	said := s.Processes
	s.Processes = nil
	for _, of := range []struct {
		role string
		own  []isolate.Process
	}{{isolate.Keeper, nil}, {isolate.Router, said}, {isolate.Web, r.Own}} {
		here := func(p isolate.Process) bool { return p.Role == of.role }
		own, i := slices.IndexFunc(of.own, here), slices.IndexFunc(known, here)
		if i >= 0 {
			if own >= 0 { // the kernel does not tell others
				known[i].Hold(of.own[own].Landlock)
			}
			s.Processes = append(s.Processes, known[i])
		} else if own >= 0 {
			s.Processes = append(s.Processes, of.own[own])
		}
	}
	return &s, nil
}
