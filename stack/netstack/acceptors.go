//go:build linux

package netstack

import "sync/atomic"

// acceptors run functions that wait for a client, each in its own goroutine. Goroutines are reused,
// because a handshake needs more stack in netstack than a new goroutine has, and growing it copies
// it each time.
type acceptors struct {
	next chan func() // without a buffer: who receives is idle
	idle atomic.Int32
	over chan struct{}
}

// maxIdle bounds the goroutines that wait for the next function.
const maxIdle = 64

func newAcceptors() *acceptors {
	return &acceptors{next: make(chan func()), over: make(chan struct{})}
}

func (a *acceptors) run(f func()) {
	select {
	case a.next <- f:
	default:
		go a.work(f)
	}
}

func (a *acceptors) work(f func()) {
	for {
		f()
		if a.idle.Add(1) > maxIdle {
			a.idle.Add(-1)
			return
		}
		select {
		case f = <-a.next:
			a.idle.Add(-1)
		case <-a.over:
			return
		}
	}
}

// close ends the goroutines that are idle, and the others as their functions end.
func (a *acceptors) close() { close(a.over) }
