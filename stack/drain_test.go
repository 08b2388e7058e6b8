//go:build linux

package stack

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// left drains a router that has no more time, and returns the number of connections not done.
func left(router *testRouter) int {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return router.Drain(ctx)
}

// Drain waits for connections whose far side does not have all bytes yet, and for the client's FIN.
func TestDrain(t *testing.T) {
	read, received := make(chan struct{}), make(chan int64, 1)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		<-read
		n, _ := io.Copy(io.Discard, c)
		received <- n
		_, _ = c.Read(make([]byte, 1)) // stays open
	})
	router := startRouter(t, Options{}, dial.Policy{})
	if n := left(router); n != 0 {
		t.Errorf("%d connections are left, want none", n)
	}
	c := newClient(t, router).dial(t, serverV4, port)
	if n := left(router); n != 1 {
		t.Errorf("%d connections are left, want the one that its client has not ended", n)
	}
	const size = 4 << 20 // more than the buffers on the way hold
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		_ = c.CloseWrite()
		written <- err
	}()
	drained := make(chan int, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- router.Drain(ctx)
	}()
	close(read)
	if n := within(t, drained); n != 0 {
		t.Errorf("%d connections are left, want none", n)
	}
	if err := within(t, written); err != nil {
		t.Error(err)
	}
	if n := within(t, received); n != size {
		t.Errorf("the far side has %d bytes, want %d", n, size)
	}
}

// A connection of which the kernel has all bytes and the FIN is not reset as the router stops, and
// does not count as one that is.
func TestDrainLeavesToKernel(t *testing.T) {
	const size = 1 << 17 // more than a far side takes that does not read, and no more than the kernel of the router
	stopped, received := make(chan struct{}), make(chan string, 1)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_ = c.SetReadBuffer(4 << 10)
		<-stopped
		n, err := io.Copy(io.Discard, c)
		received <- fmt.Sprint(n, err)
	})
	router := startRouter(t, Options{}, dial.Policy{})
	end := sync.OnceFunc(func() { close(stopped) })
	defer end()
	c := newClient(t, router).dial(t, serverV4, port)
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	tuntest.Wait(t, "the kernel to have all", func() bool { return left(router) == 0 })
	router.stop()
	end()
	if got, want := within(t, received), fmt.Sprint(size, nil); got != want {
		t.Errorf("the far side has %s, want %s", got, want)
	}
}

// Drain does not wait for dials, whose clients have gone, but for handshakes that are on their way
// to the log.
func TestDrainOfHandshakes(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	held := make(chan func(), 1)
	router := startRouter(t, Options{
		AwaitRecord:  true,
		BeforeAnswer: func(_ tunflow.Key, answer func()) { held <- answer },
	}, dial.Policy{})
	client, server := handPair(port)
	c := router.byHand(client, server, 1000)
	c.send(t, tuntest.SYN)
	answer := within(t, held)
	if n := left(router); n != 0 {
		t.Errorf("%d connections are left, want none", n)
	}
	answer()
	c.awaitSYNACK(t)
	for _, flags := range []uint8{0, tuntest.ACK} {
		if flags != 0 {
			c.send(t, flags)
			tuntest.Wait(t, "the client's ACK", func() bool { return router.stats.HalfOpen.Load() == 0 })
		}
		if n := left(router); n != 1 {
			t.Errorf("%d connections are left, want one", n)
		}
	}
}

// A far side that has all bytes of its client, and the FIN, is not reset as the router stops.
func TestStopAfterDelivery(t *testing.T) {
	finished, stopped := make(chan struct{}), make(chan struct{})
	result := make(chan int, 1)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_, _ = io.Copy(io.Discard, c)
		close(finished)
		<-stopped
		raw, err := c.SyscallConn()
		if err != nil {
			t.Error(err)
			return
		}
		_ = raw.Control(func(fd uintptr) {
			errno, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
			result <- errno
		})
	})
	router := startRouter(t, Options{}, dial.Policy{})
	_ = newClient(t, router).dial(t, serverV4, port).CloseWrite()
	<-finished
	tuntest.Wait(t, "delivery", func() bool { return left(router) == 0 })
	router.stop()
	close(stopped)
	if errno := within(t, result); errno != 0 {
		t.Errorf("the far side's socket fails with %v", syscall.Errno(errno))
	}
}
