//go:build linux

package stack

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syntap/stack/dial"
	"syntap/tun"
	"syntap/tun/tuntest"
)

// lateReader reads a SYN, and later frames only when it is released.
type lateReader struct {
	tun.Link
	frames  int // the reader's
	release chan struct{}
	asked   atomic.Int32 // how often ReadUpTo was, before
}

func (l *lateReader) ReadFrame(f *tun.Frame) error {
	err := l.Link.ReadFrame(f)
	if l.frames++; l.frames > 1 {
		<-l.release
	}
	return err
}

func (l *lateReader) NotifyIdle(func()) bool { return false }

func (l *lateReader) Idle() bool { return !l.ReadUpTo().IsZero() }

func (l *lateReader) ReadUpTo() time.Time {
	select {
	case <-l.release:
		return time.Now()
	default:
		l.asked.Add(1)
		return time.Time{}
	}
}

// A client's ACK that lies unread in the link past the handshake's deadline completes it.
func TestUnreadACK(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	router, host := tuntest.NewPipe(1500)
	link := &lateReader{Link: router, release: make(chan struct{})}
	o := Options{HandshakeTimeout: 100 * time.Millisecond, sweepInterval: 100 * time.Millisecond}
	s, err := New(link, dial.New(dial.Options{Redirect: tuntest.ToLoopback}), o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	c := newClient(t, runRouter(t, s, host, func(run func() error) error { return run() })).dial(t, serverV4, port)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(func() { close(link.release) })
	defer release()
	tuntest.Wait(t, "the deadline to be put off several times", func() bool { return link.asked.Load() > 5 })
	release()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Errorf("read of the echo: %v", err)
	}
}
