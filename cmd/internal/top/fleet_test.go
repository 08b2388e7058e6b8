package top

import (
	"context"
	"errors"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

// TestFleet: connections of several routers are told apart though their numbers are the same, and
// those that were shown before a failure are not shown again.
func TestFleet(t *testing.T) {
	t.Parallel()
	other := func(record string) string {
		record = strings.ReplaceAll(record, "0123456789abcdef", "fedcba9876543210")
		return strings.ReplaceAll(record, "198.51.100.", "203.0.113.")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	f, begun := &feed{}, make(chan int, 2)
	fleet := Fleet{Follow: func(ctx context.Context, next func(line []byte) bool) error {
		for _, record := range traffic {
			next([]byte(record))
			next([]byte(other(record)))
		}
		begun <- 0
		if len(begun) < 2 {
			return errors.New("the store is gone")
		}
		<-ctx.Done()
		return nil
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.followFleet(ctx, &fleet)
	}()
	m := newFleetModel(f, "https://logs1:9428")
	m.width, m.height = 100, 30
	tuntest.Wait(t, "two rounds", func() bool { return len(begun) == 2 })
	m.update()
	if len(m.all) != 8 {
		t.Errorf("%d connections, want 4 of each router", len(m.all))
	}
	if n := m.status.Handshakes["refused"]; n != 2 {
		t.Errorf("%d refused, want one of each router", n)
	}
	drawn := strings.Join(m.drawn(), "\n")
	for _, want := range []string{"fleet https://logs1:9428", "198.51.100.3:80", "203.0.113.3:80"} {
		if !strings.Contains(drawn, want) {
			t.Errorf("%q is not on the screen:\n%s", want, drawn)
		}
	}
	stop()
	<-done
}
