//go:build linux

package gate

import (
	"encoding/binary"
	"testing"
)

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
