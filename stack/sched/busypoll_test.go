//go:build linux

package sched

import (
	"testing"
	"testing/synctest"
	"time"

	"syntap/tun/tuntest"

	"golang.org/x/sys/unix"
)

// traffic has so many packets come at an interval, and a poller that polls between them for as long
// as it may.
func traffic(b *BusyPoll, packets int, interval time.Duration) {
	for range packets {
		b.Traffic()
		next := time.Now().Add(interval)
		for b.again() && time.Now().Before(next) {
			time.Sleep(time.Microsecond) // of a clock that stands still while goroutines run
		}
		time.Sleep(time.Until(next))
	}
	b.Traffic()
}

func TestBusyPoll(t *testing.T) {
	t.Parallel()
	const limit = 50 * time.Microsecond
	for name, test := range map[string]struct {
		limit  time.Duration
		before func(b *BusyPoll)
		want   bool
	}{
		"at the start":             {limit, func(*BusyPoll) {}, false},
		"a packet alone":           {limit, (*BusyPoll).Traffic, false},
		"packets within the limit": {limit, func(b *BusyPoll) { traffic(b, 100, limit/2) }, true},
		"packets that come slowly": {limit, func(b *BusyPoll) { traffic(b, 100, time.Millisecond) }, false},
		"slow ones after fast ones": {limit, func(b *BusyPoll) {
			traffic(b, 100, limit/2)
			traffic(b, 100, time.Millisecond)
		}, false},
		"fast ones after slow ones": {limit, func(b *BusyPoll) {
			traffic(b, 100, time.Millisecond)
			traffic(b, 100, limit/2)
		}, true},
		"fast ones and pauses": {limit, func(b *BusyPoll) {
			for range 10 {
				traffic(b, 20, limit/2)
				time.Sleep(time.Second)
			}
			traffic(b, 1, limit/2)
		}, true},
		"packets of a download": {limit, func(b *BusyPoll) {
			b.sched.budget(Bulk)
			traffic(b, 100, limit/2)
		}, false},
		"packets beside a download": {limit, func(b *BusyPoll) {
			b.sched.budget(Bulk)
			b.sched.NoteInteractive()
			traffic(b, 100, limit/2)
		}, true},
		"packets after a download": {limit, func(b *BusyPoll) {
			b.sched.budget(Bulk)
			time.Sleep(recently)
			traffic(b, 100, limit/2)
		}, true},
		"disabled":              {0, func(b *BusyPoll) { traffic(b, 100, time.Microsecond) }, false},
		"disabled in the midst": {limit, func(b *BusyPoll) { traffic(b, 100, limit/2); b.SetLimit(0) }, false},
		"enabled later":         {0, func(b *BusyPoll) { b.SetLimit(limit); traffic(b, 100, limit/2) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := NewBusyPoll(New(1), test.limit)
				test.before(b)
				if got := b.again(); got != test.want {
					t.Errorf("it polls: %t, want %t", got, test.want)
				}
				time.Sleep(limit)
				if b.again() {
					t.Error("it polls longer than the limit after the last packet")
				}
			})
		})
	}
}

// A poller that polls delivers all events, and ends.
func TestPollerBusy(t *testing.T) {
	t.Parallel()
	p := startPoller(t, NewBusyPoll(New(1), time.Millisecond))
	r, w := pipe(t)
	closed(t, r, w)
	events := make(chan uint32, 1)
	owner := &watched{ready: toChannel(events)}
	if err := p.Add(r, &owner.Watch, owner, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		put(t, w)
		tuntest.Receive(t, "event", events)
	}
}
