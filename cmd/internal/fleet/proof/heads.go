package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/record"
)

// Head is the last record of a log as a store has it, which "syntap fleet --heads" prints.
type Head struct {
	Time   time.Time `json:"time"` // of the record
	Router string    `json:"router"`
	Log    string    `json:"log"`
	Seq    uint64    `json:"seq"`
	Hash   string    `json:"hash"` // SHA-256 of the line without its end, in hex
}

// findHeads collects the heads of the logs.
func (v *verifier) findHeads(ctx context.Context) error {
	inStore, err := v.store.Heads(ctx, v.o.Router)
	if err != nil {
		return err
	}
	for _, h := range inStore {
		head, err := chain.ParseHead(v.chainOf(h.Router), h.Line)
		if err != nil {
			v.broken = append(v.broken, broken{h.LogID, err})
			continue
		}
		v.want(h.LogID, chain.Witness{Head: head, Place: "a head in the store"})
	}
	for _, path := range v.o.Heads {
		if err := v.readHeads(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) want(id fleet.LogID, w chain.Witness) { v.heads[id] = append(v.heads[id], w) }

// maxHeadFile bounds a file with heads in bytes.
const maxHeadFile = 64 << 20

// readHeads reads a file with heads, one on a line.
func (v *verifier) readHeads(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxHeadFile))
	if err != nil {
		return err
	}
	number, found := 0, false
	for line := range bytes.Lines(b) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := v.readHead(ctx, path, line); err != nil {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
		found = true
	}
	if !found {
		return fmt.Errorf("%s: no head of a log", path)
	}
	return nil
}

// readHead reads a line with a head: one of [Head], the note of a shipper, or one of package chain.
func (v *verifier) readHead(ctx context.Context, place string, line []byte) error {
	var one struct {
		Head
		Stores []fleet.Confirmed `json:"stores"`
	}
	if err := json.Unmarshal(line, &one); err != nil {
		return errors.New("it is not the head of a log")
	}
	switch {
	case one.Stores != nil:
		for _, c := range one.Stores {
			h := Head{Router: v.routerOf(c.Log), Log: c.Log, Seq: c.Seq, Hash: c.Hash}
			if err := v.wantLine(place, h); err != nil {
				return err
			}
		}
		return nil
	case one.Router != "":
		return v.wantLine(place, one.Head)
	}
	return v.wantChained(ctx, place, line)
}

// wantLine takes a head that has the hash of a line.
func (v *verifier) wantLine(place string, h Head) error {
	if h.Seq == 0 || h.Hash == "" { // nothing was there yet
		return nil
	}
	w := chain.Witness{Head: chain.Head{Time: h.Time, Seq: h.Seq}, Place: place, Line: true}
	if !w.Hash.Parse(h.Hash) {
		return errors.New("it is not the head of a log")
	}
	v.want(fleet.LogID{Router: h.Router, Log: h.Log}, w)
	return nil
}

// routerOf returns the router that has a log; "" if the store does not know it.
func (v *verifier) routerOf(log string) string {
	for _, s := range v.logs {
		if s.Log == log {
			return s.Router
		}
	}
	return v.o.Router
}

// wantChained takes a head of package chain. It is of the log that has its record, or if none has,
// of the one that was written to last.
func (v *verifier) wantChained(ctx context.Context, place string, line []byte) error {
	if len(v.logs) == 0 {
		return errors.New("the store has no log that it could be of")
	}
	last := v.logs[0]
	for _, s := range v.logs {
		if s.Router != last.Router {
			return hint.Usage(errors.New("it does not say which router it is of"), "say so with --router")
		}
		if s.Time.After(last.Time) {
			last = s
		}
	}
	head, err := chain.ParseHead(v.chainOf(last.Router), line)
	if err != nil {
		return err
	}
	w := chain.Witness{Head: head, Place: place}
	for _, s := range v.logs {
		has := false
		r := fleet.Range{First: head.Seq, Last: head.Seq}
		err := v.store.Lines(ctx, s.LogID, r, func(_ uint64, line []byte) error {
			l, ok := record.LinkOf(line)
			has = has || ok && l.Hash == head.Hash
			return nil
		})
		if err != nil {
			return err
		}
		if has {
			last = s
		}
	}
	v.want(last.LogID, w)
	return nil
}
