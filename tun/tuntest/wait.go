package tuntest

import (
	"testing"
	"time"
)

// Patience is how long a test waits for an event before it fails: test machines stall for seconds.
const Patience = 30 * time.Second

// Wait returns once cond holds. It fails the test, naming the condition, when that takes longer
// than twice Patience: the condition may depend on events that are each waited for.
func Wait(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	const longest = 2 * Patience
	deadline := time.After(longest)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !cond() {
		select {
		case <-poll.C:
		case <-deadline:
			tb.Fatalf("waited %v in vain for %s", longest, what)
		}
	}
}

// Receive returns the next value of c. It fails the test, naming the value, when that takes longer
// than Patience.
func Receive[T any](tb testing.TB, what string, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Patience):
		tb.Fatalf("waited %v in vain for %s", Patience, what)
		panic("not reached")
	}
}
