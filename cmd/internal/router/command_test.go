//go:build linux

package router

import (
	"context"
	"testing"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/message"
)

// Attempts that the keeper does not get are counted, for the end of the router.
func TestUntold(t *testing.T) {
	t.Parallel()
	r := &Process{log: newLog(t)}
	r.tell(message.Told{Attempt: new(attempt.Attempt)})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.log.Run(ended); err != nil { // and closes the log
		t.Fatal(err)
	}
	r.tell(message.Told{Attempt: new(attempt.Attempt)})
	if n := r.untold.Load(); n != 1 {
		t.Errorf("%d attempts are untold, want 1", n)
	}
}
