//go:build linux

package stack

import (
	"io"
	"net"
	"testing"
	"time"

	"syntap/stack/dial"
)

// A far side that has sent its FIN and reads later gets all that its client has sent. Until then
// the bytes are charged, though client and router are done.
func TestLingering(t *testing.T) {
	read, received := make(chan struct{}), make(chan int64, 1)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_ = c.SetReadBuffer(4 << 10)
		_ = c.CloseWrite()
		<-read
		n, _ := io.Copy(io.Discard, c)
		received <- n
	})
	router := startRouter(t, Options{sweepInterval: 100 * time.Millisecond}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	const size = 100 << 10
	if n, err := c.Write(make([]byte, size)); n != size || err != nil {
		t.Fatalf("%d bytes written, %v", n, err)
	}
	_ = c.Close()
	eventually(t, "the connection is over", func() bool { return router.stats.TCPFlows.Load() == 0 })
	if held := router.memory.Charged(); held < size/2 {
		t.Errorf("%d bytes are charged, %d are on their way", held, size)
	}
	close(read)
	if n := <-received; n != size {
		t.Errorf("the far side has received %d bytes, want %d", n, size)
	}
	eventually(t, "nothing is charged", func() bool { return router.memory.Charged() == 0 })
}
