package config

import "testing"

// Where it is left to the router, the TUN has a queue for each processor that it uses, up to a
// limit.
func TestQueuesFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		queues           Queues
		processors, want int
	}{{0, 0, 1}, {0, 1, 1}, {0, 3, 3}, {0, 32, 8}, {1, 32, 1}, {8, 1, 8}} {
		if got := tt.queues.For(tt.processors); got != tt.want {
			t.Errorf("%d queues for %d processors: %d, want %d", tt.queues, tt.processors, got, tt.want)
		}
	}
}
