//go:build linux

package stack

import (
	"sync/atomic"

	"syntap/stack/sched"
)

// direction is one direction of a connection. The poller and netstack's callbacks wake it.
type direction struct {
	sched.Task
	conn    *conn
	move    mover
	done    bool        // it has ended; like the next two the owner's
	bytes   uint64      // moved in all
	carried int         // bytes since its buffer in netstack was small, up to growAfter
	large   atomic.Bool // the buffer is large, and paid from the budget; set by the owner
	quiet   atomic.Bool // nothing has moved for long; set by the sweeper
}

// mover is moveOutbound or moveInbound, with the results of sched.Stepper.
type mover func(c *conn, budget int) (moved int, more bool)

func (d *direction) init(c *conn, move mover) {
	d.conn, d.move = c, move
	d.Init(c.stack.sched, d)
}

// Step implements sched.Stepper.
func (d *direction) Step(budget int) (moved int, more bool) {
	if d.quiet.Load() && d.quiet.Swap(false) && !d.done {
		d.shrink()
	}
	if d.done {
		return 0, false
	}
	return d.move(d.conn, budget)
}
