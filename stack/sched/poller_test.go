//go:build linux

package sched

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syntap/tun/tuntest"

	"golang.org/x/sys/unix"
)

func startPoller(t *testing.T, busy *BusyPoll) *Poller {
	t.Helper()
	p, err := NewPoller(busy)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		p.Run()
		close(ended)
	}()
	t.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
		tuntest.Receive(t, "the poller's end", ended)
	})
	return p
}

// pipe returns a pipe whose ends do not block.
func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

// closed closes descriptors when the test ends.
func closed(t *testing.T, fds ...int) {
	t.Helper()
	t.Cleanup(func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	})
}

func put(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte{1}); err != nil {
		t.Fatal(err)
	}
}

// watched is a Watcher that calls a function.
type watched struct {
	Watch
	ready func(events uint32)
}

func (w *watched) Ready(events uint32) { w.ready(events) }

func toChannel(c chan<- uint32) func(uint32) { return func(events uint32) { c <- events } }

// A Watcher learns of each arrival once, not of bytes that it has left unread, unless it asks
// again.
func TestPollerIsEdgeTriggered(t *testing.T) {
	t.Parallel()
	p := startPoller(t, NewBusyPoll(New(1), 0))
	r, w := pipe(t)
	closed(t, r, w)
	events := make(chan uint32, 16)
	owner := &watched{ready: toChannel(events)}
	if err := p.Add(r, &owner.Watch, owner, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	put(t, w)
	if got := tuntest.Receive(t, "event", events); got&unix.EPOLLIN == 0 {
		t.Errorf("events %#x, want EPOLLIN", got)
	}
	other, otherEnd := pipe(t) // its event comes behind all of r's
	closed(t, other, otherEnd)
	marker := make(chan uint32, 1)
	second := &watched{ready: toChannel(marker)}
	if err := p.Add(other, &second.Watch, second, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	put(t, otherEnd)
	tuntest.Receive(t, "event of the other", marker)
	if n := len(events); n != 0 {
		t.Errorf("%d events for a byte that was left unread", n)
	}
	p.Rearm(r)
	tuntest.Receive(t, "event after Rearm", events)
}

// An event that was fetched for a descriptor before its close does not reach the number's next
// owner.
func TestPollerReusedDescriptor(t *testing.T) {
	t.Parallel()
	p, err := NewPoller(NewBusyPoll(New(1), 0))
	if err != nil {
		t.Fatal(err)
	}
	a, aEnd := pipe(t)
	b, bEnd := pipe(t)
	closed(t, aEnd, bEnd)
	done := make(chan struct{})
	late := make(chan uint32, 16)
	next := &watched{ready: toChannel(late)}
	replaced := make(chan int, 2)
	// Both have an event in one batch. Whichever comes first replaces the other, whose event is
	// then the late one.
	replace := func(fd int) {
		if len(replaced) > 0 {
			return // the late event has reached the former owner
		}
		p.Remove(fd)
		r, w := pipe(t)
		closed(t, r, w)
		if err := unix.Dup3(r, fd, unix.O_CLOEXEC); err != nil { // closes fd
			t.Error(err)
		}
		if err := p.Add(fd, &next.Watch, next, unix.EPOLLIN); err != nil {
			t.Error(err)
		}
		replaced <- fd
	}
	first := &watched{ready: func(uint32) { replace(b) }}
	second := &watched{ready: func(uint32) { replace(a) }}
	for fd, w := range map[int]*watched{a: first, b: second} {
		if err := p.Add(fd, &w.Watch, w, unix.EPOLLIN); err != nil {
			t.Fatal(err)
		}
	}
	put(t, aEnd)
	put(t, bEnd)
	go func() {
		p.Run()
		close(done)
	}()
	closed(t, a, b)
	tuntest.Receive(t, "event", replaced)
	// Another event shows that the batch is over.
	r, w := pipe(t)
	closed(t, r, w)
	over := make(chan uint32, 1)
	last := &watched{ready: toChannel(over)}
	if err := p.Add(r, &last.Watch, last, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	put(t, w)
	tuntest.Receive(t, "event of the last", over)
	if n := len(late); n != 0 {
		t.Errorf("the next owner of a descriptor got %d events of the one before", n)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	tuntest.Receive(t, "end", done)
}

// After Remove a descriptor's events reach no Watcher.
func TestPollerRemove(t *testing.T) {
	t.Parallel()
	p := startPoller(t, NewBusyPoll(New(1), 0))
	r, w := pipe(t)
	closed(t, r, w)
	events := make(chan uint32, 16)
	owner := &watched{ready: toChannel(events)}
	if err := p.Add(r, &owner.Watch, owner, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	p.Remove(r)
	put(t, w)
	other, otherEnd := pipe(t)
	closed(t, other, otherEnd)
	marker := make(chan uint32, 1)
	second := &watched{ready: toChannel(marker)}
	if err := p.Add(other, &second.Watch, second, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	put(t, otherEnd)
	tuntest.Receive(t, "event of the other", marker)
	if len(events) != 0 {
		t.Error("an event after Remove")
	}
}

// A descriptor beyond the table, and one that epoll does not take, are errors and leave no trace.
func TestPollerRefuses(t *testing.T) {
	t.Parallel()
	p := startPoller(t, NewBusyPoll(New(1), 0))
	owner := &watched{ready: func(uint32) { t.Error("an event of a refused descriptor") }}
	if err := p.Add(len(p.slots), &owner.Watch, owner, unix.EPOLLIN); !errors.Is(err, unix.EMFILE) {
		t.Errorf("Add beyond the limit: %v, want EMFILE", err)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	if err := p.Add(fd, &owner.Watch, owner, unix.EPOLLIN); !errors.Is(err, unix.EPERM) {
		t.Errorf("Add of a file: %v, want EPERM", err)
	}
	if p.slots[fd].Load() != nil {
		t.Error("a refused descriptor has an owner")
	}
	p.Remove(len(p.slots)) // as a caller does that closes whatever it has opened
}

// Descriptors that goroutines open, watch and close at a time, and whose numbers they reuse, have
// their own events alone, and all of them.
func TestPollerManyOwners(t *testing.T) {
	t.Parallel()
	p := startPoller(t, NewBusyPoll(New(1), 0))
	var owners sync.WaitGroup
	for range 8 {
		owners.Go(func() {
			for range 200 {
				var fds [2]int
				if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
					t.Error(err)
					return
				}
				var wrote atomic.Bool
				events := make(chan uint32, 4)
				owner := &watched{ready: func(ev uint32) {
					if !wrote.Load() {
						t.Error("an event before there was one")
					}
					select {
					case events <- ev:
					default:
					}
				}}
				if err := p.Add(fds[0], &owner.Watch, owner, unix.EPOLLIN); err != nil {
					t.Error(err)
					return
				}
				wrote.Store(true)
				_, _ = unix.Write(fds[1], []byte{1})
				select {
				case <-events:
				case <-time.After(tuntest.Patience):
					t.Error("no event")
					return
				}
				p.Remove(fds[0])
				_, _ = unix.Write(fds[1], []byte{1}) // may still be delivered, to this owner
				_ = unix.Close(fds[0])
				_ = unix.Close(fds[1])
			}
		})
	}
	owners.Wait()
}
