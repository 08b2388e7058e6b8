//go:build linux

package stack

import "testing"

// What is in full swing goes by what a half has moved lately, not by what it has moved in all.
func TestBulk(t *testing.T) {
	t.Parallel()
	f := newFlow(&Stack{}, flowKey{}, 0, nil)
	h := &f.inbound
	turn := func(bytes int) {
		h.noteTurn(bytes)
		h.endTurn()
	}
	if turn(10 * littleTurn); h.bulk.Load() {
		t.Error("in full swing with a small buffer")
	}
	h.large.Store(true)
	for range 1000 {
		turn(100)
	}
	if h.bulk.Load() {
		t.Error("in full swing with little in each turn")
	}
	if turn(littleTurn + 1); !h.bulk.Load() {
		t.Error("not in full swing after much in a turn")
	}
	for range calmTurns - 1 {
		turn(100)
	}
	if !h.bulk.Load() {
		t.Errorf("not in full swing after %d turns with little", calmTurns-1)
	}
	turn(littleTurn + 1)
	for range calmTurns {
		turn(100)
	}
	if h.bulk.Load() {
		t.Errorf("in full swing after %d turns with little", calmTurns)
	}
}
