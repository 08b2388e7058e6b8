//go:build linux

package stack

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"syntap/stack/dial"
	"syntap/tun/tuntest"
)

// A far side that has sent its FIN and reads later gets all that its client has sent. Until then
// the bytes are charged, though client and router are done.
func TestLingering(t *testing.T) {
	router := startRouter(t, Options{sweepInterval: 100 * time.Millisecond}, dial.Policy{})
	read, received := leaveBytes(t, router)
	if held := router.memory.Charged(); held < leftBytes/2 {
		t.Errorf("%d bytes are charged, %d are on their way", held, leftBytes)
	}
	read()
	if got, want := within(t, received), fmt.Sprint(leftBytes, nil); got != want {
		t.Errorf("the far side has received %s, want %s", got, want)
	}
	tuntest.Wait(t, "nothing is charged", func() bool { return router.memory.Charged() == 0 })
}

// The bytes of a connection that is over arrive though the router stops.
func TestLingeringAtStop(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{})
	read, received := leaveBytes(t, router)
	router.stop()
	read()
	if got, want := within(t, received), fmt.Sprint(leftBytes, nil); got != want {
		t.Errorf("the far side has received %s, want %s", got, want)
	}
}

const leftBytes = 100 << 10

// leaveBytes has a connection end while leftBytes are on their way. The far side reads them after
// read is called, and then tells how many came, and the error.
func leaveBytes(t *testing.T, router *testRouter) (read func(), received <-chan string) {
	t.Helper()
	begun, result := make(chan struct{}), make(chan string, 1)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_ = c.SetReadBuffer(4 << 10)
		_ = c.CloseWrite()
		<-begun
		n, err := io.Copy(io.Discard, c)
		result <- fmt.Sprint(n, err)
	})
	read = sync.OnceFunc(func() { close(begun) })
	t.Cleanup(read)
	c := newClient(t, router).dial(t, serverV4, port)
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Write(make([]byte, leftBytes)); n != leftBytes || err != nil {
		t.Fatalf("%d bytes written, %v", n, err)
	}
	_ = c.Close()
	tuntest.Wait(t, "the connection is over", func() bool { return router.stats.TCPFlows.Load() == 0 })
	return read, result
}
