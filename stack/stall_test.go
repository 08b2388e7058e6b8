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
	"syntap/stack/sockmem"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// A connection whose server does not answer stalls. One that is idle, and one whose client does not
// read, do not. A stalled one can be reset at both ends.
func TestStalled(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[uint16]tunflow.Stall) // by port of the server
	answers := serve(t, "tcp4", func(c *net.TCPConn) {
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err == nil {
			_, _ = c.Write(b)
			_, _ = c.Read(b)
		}
	})
	ended := make(chan error, 1)
	silent := serve(t, "tcp4", func(c *net.TCPConn) {
		_, err := io.Copy(io.Discard, c)
		ended <- err
	})
	talks := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, zeros{}) })
	router := startRouter(t, Options{Stalled: func(s tunflow.Stall) {
		mu.Lock()
		defer mu.Unlock()
		if !s.ClientLeg {
			seen[s.Key.Server.Port()] = s
		}
	}}, dial.Policy{})
	client := newClient(t, router)
	idle, asks, slow := client.dial(t, serverV4, answers), client.dial(t, serverV4, silent), client.dial(t, serverV4, talks)
	for _, c := range []io.ReadWriter{idle, asks} {
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(idle, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	var stall tunflow.Stall
	tuntest.Wait(t, "a stall of two seconds", func() bool {
		mu.Lock()
		defer mu.Unlock()
		stall = seen[uint16(silent)]
		return stall.Silent >= 2*time.Second
	})
	if stall.Acked != 5 || stall.Unacked != 0 || stall.Received != 0 || stall.HidesUp() || !stall.HidesDown() || stall.Remote.Port() != uint16(silent) ||
		stall.Age < stall.Silent-stallInterval {
		t.Errorf("stall %+v", stall)
	}
	mu.Lock()
	for port, s := range seen { // that of the idle one where its answer came in the same tick of the kernel's clock
		if port != uint16(silent) && (port != uint16(answers) || s.Received == 5 && s.HidesDown()) {
			t.Errorf("stall %+v of a connection that waits for nothing", s)
		}
	}
	mu.Unlock()
	router.ResetStuck(stall.Key)
	if _, err := asks.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the client of a connection that is reset reads %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the server of a connection that is reset sees its end in order")
	}
	_ = slow.Close()
}

// zeros is a source of bytes without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// A client that has closed its half has nothing outstanding: its FIN is no payload.
func TestStallOfHalfClosed(t *testing.T) {
	stalls, done := make(chan tunflow.Stall, 1), make(chan struct{})
	defer close(done)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_, _ = io.Copy(io.Discard, c)
		<-done
	})
	router := startRouter(t, Options{Stalled: func(s tunflow.Stall) {
		if s.Silent >= 2*time.Second && !s.ClientLeg {
			select {
			case stalls <- s:
			default: // one is enough
			}
		}
	}}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if s := tuntest.Receive(t, "a stall", stalls); s.Acked != 5 || s.Outstanding != 0 {
		t.Errorf("%d bytes acknowledged and %d outstanding of 5: %+v", s.Acked, s.Outstanding, s)
	}
}

// A server that has closed is over: its FIN waits for no bytes, though it takes memory until it is
// read, and before that a question without an answer waits.
func TestStallOfClosed(t *testing.T) {
	ends := make(chan *net.TCPConn)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 5))
		ends <- c
		<-t.Context().Done()
	})
	router := startRouter(t, Options{}, dial.Policy{})
	host, err := net.Dial("tcp4", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if _, err := host.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	far := tuntest.Receive(t, "the server", ends)
	raw, err := host.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	look := func() (s tunflow.Stall, waits bool, memory int32) {
		if err := raw.Control(func(fd uintptr) {
			c := newConn(router.Stack, connKey{}, 1, nil)
			c.fd = int(fd)
			c.phase.Store(established)
			s, waits = c.stall(time.Second)
			memory = int32(sockmem.Of(c.fd).Received)
		}); err != nil {
			t.Fatal(err)
		}
		return s, waits, memory
	}
	tuntest.Wait(t, "the question to be acknowledged", func() bool {
		s, waits, _ := look()
		return waits && s.Unacked == 0 && s.HidesDown()
	})
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	var s tunflow.Stall
	var waits bool
	tuntest.Wait(t, "a FIN", func() (fin bool) {
		var memory int32
		s, waits, memory = look()
		return memory > 0
	})
	if s, waits, _ = look(); waits {
		t.Errorf("a server that has closed is waited for: %+v", s)
	}
}

// A client that gives up while nothing moves shows its connection as it is then.
func TestStallAtEnd(t *testing.T) {
	stalls := make(chan tunflow.Stall, 100)
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	router := startRouter(t, Options{Stalled: func(s tunflow.Stall) {
		if !s.ClientLeg {
			stalls <- s
		}
	}}, dial.Policy{})
	client := newClient(t, router)
	c := client.dial(t, serverV4, port)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if s := tuntest.Receive(t, "a look", stalls); s.Silent < time.Second {
		t.Fatalf("the first look is after a silence of %v", s.Silent)
	}
	client.reset()
	for {
		s := tuntest.Receive(t, "the look at the end", stalls)
		if s.Silent == 0 {
			if s.Acked != 5 || s.Received != 0 {
				t.Errorf("stall %+v", s)
			}
			return
		}
	}
}

// An answer of HTTP of which a part has come stalls, and one that is complete does not.
func TestStallWithinAnswer(t *testing.T) {
	stalls := make(chan tunflow.Stall, 100)
	serveAnswer := func(answer string) int {
		return serve(t, "tcp4", func(c *net.TCPConn) {
			b := make([]byte, 5)
			_, _ = io.ReadFull(c, b)
			_, _ = io.WriteString(c, answer)
			_, _ = c.Read(b)
		})
	}
	whole := serveAnswer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	part := serveAnswer("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nhello")
	router := startRouter(t, Options{Stalled: func(s tunflow.Stall) {
		if !s.ClientLeg {
			select {
			case stalls <- s:
			default: // some are enough
			}
		}
	}}, dial.Policy{})
	client := newClient(t, router)
	for _, port := range []int{whole, part} {
		c := client.dial(t, serverV4, port)
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 40)); err != nil {
			t.Fatal(err)
		}
	}
	for {
		s := tuntest.Receive(t, "a stall within an answer", stalls)
		if port := s.Key.Server.Port(); port == uint16(whole) && (s.Incomplete || s.HidesDown()) {
			t.Fatalf("stall %+v of a complete answer", s)
		} else if port == uint16(part) && s.Received >= 40 {
			if !s.Incomplete || !s.HidesDown() {
				t.Errorf("stall %+v, want one of an answer that is incomplete", s)
			}
			return
		}
	}
}
