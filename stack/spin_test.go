//go:build linux

package stack

import (
	"io"
	"net"
	"testing"
	"time"

	"syntap/stack/dial"
)

// The spinner sleeps without traffic, and wakes with it.
func TestSpin(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	router := startRouter(t, Options{Spin: time.Millisecond}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	for range 2 {
		eventually(t, "asleep", func() bool { return router.spinner.asleep.Load() })
		before := router.spinner.seen.Load()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if router.spinner.seen.Load() == before {
			t.Error("traffic has not been noted")
		}
	}
}
