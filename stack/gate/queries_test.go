//go:build linux

package gate

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"syntap/stack/inspect"
	"syntap/stack/peek"
	tunflow "syntap/tun/flow"
)

// allowing is a Policy that forbids nothing.
type allowing struct{}

func (allowing) Contradicts(*inspect.Said) bool { return false }
func (allowing) Denies(*tunflow.DNS) bool       { return false }

// TestWaitEndsLate: a query whose rest comes as its time ends leaves the next one all of its own.
func TestWaitEndsLate(t *testing.T) {
	t.Parallel()
	query := []byte("\x00\x11\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01")
	synctest.Test(t, func(t *testing.T) {
		gate := Gate{Queries: new(Queries)}
		pass := func(b []byte) Verdict {
			var g peek.Views
			g.Begin(1<<16, false)
			_, _ = g.Write(b) // there is room
			v, _, _ := gate.Pass(&g, false, allowing{})
			return v
		}
		for range 2 {
			if v := pass(query[:5]); v != Wait {
				t.Fatalf("verdict %d on a part of a query, want %d", v, Wait)
			}
			gate.Await(Within, func() {})
			time.Sleep(Within)
			synctest.Wait()
			if v := pass(query); v != Pass {
				t.Fatalf("verdict %d on a query, want %d", v, Pass)
			}
			gate.Sent(len(query))
		}
	})
}

// TestBlockedBetweenMessages: a response of the router's own waits for the end of the server's.
func TestBlockedBetweenMessages(t *testing.T) {
	t.Parallel()
	var q Queries
	message := append(binary.BigEndian.AppendUint16(nil, 300), make([]byte, 300)...)
	stream := append(message, message...)
	for i := range stream {
		between := i == 0 || i == len(stream)/2
		if !q.add([]byte{byte(i)}) {
			t.Fatal("there is no room")
		}
		if got := q.Next(); (got != nil) != between {
			t.Fatalf("behind %d bytes of %d: %v", i, len(stream), got)
		}
		q.waiting = nil
		q.Follow(stream[i : i+1])
	}
	for range MaxResponses {
		q.add([]byte{1})
	}
	if q.add([]byte{1}) {
		t.Error("the responses that wait have no bound")
	}
}
