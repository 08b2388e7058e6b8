//go:build linux

package stack

import (
	"math"
	"sync"
	"time"

	"syntap/stack/sched"
)

// sweepFaster is the number of sweeps in an interval when memory is scarce.
const sweepFaster = 10

// stillFor is the number of such sweeps without a byte after which a connection is tightened. One
// with a large buffer has the whole interval: its far side may fill the promised window, and would
// have to retransmit, later and later, if there were no room.
const stillFor = 4

// sweepUntil sweeps until stop is closed. One goroutine serves all connections: a timer for each
// would have to be reset with every byte.
func (s *Stack) sweepUntil(stop <-chan struct{}) {
	ticker := time.NewTicker(s.o.sweepTick())
	defer ticker.Stop()
	y := s.sched.NewYielder()
	defer y.Close()
	looked := time.Now()
	for tick := 1; ; tick++ {
		s.stood.note(s.o.sweepTick())
		select {
		case <-stop:
			return
		case <-ticker.C:
			s.lingering.Sweep(false)
			if now := time.Now(); s.o.Stalled != nil && now.Sub(looked) >= stallInterval-stallInterval/10 {
				looked = now
				s.lookForStalls(y)
			}
			switch {
			case s.memory.Scarce():
				s.sweep(y, 1)
			case tick%sweepFaster == 0:
				s.sweep(y, sweepFaster)
			}
		}
	}
}

// sweepTick is the time between ticks of the sweeper.
func (o *Options) sweepTick() time.Duration { return o.sweepInterval / sweepFaster }

// standstill is the time for which this process has not run, because the machine was busy,
// suspended or stopped: late ticks of the sweeper show it. It has not run for up to a tick longer.
type standstill struct {
	mu   sync.Mutex
	next time.Time     // tick; the zero value is none
	sum  time.Duration // until the last tick
}

// note notes a tick, and when the next one is due.
func (s *standstill) note(every time.Duration) {
	so := s.sofar()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum, s.next = so, time.Now().Add(every)
}

// sofar returns the sum, with the time by which the next tick is late.
func (s *standstill) sofar() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if late := time.Since(s.next); late >= stall && !s.next.IsZero() {
		return s.sum + late
	}
	return s.sum
}

// sweep weighs all connections, and makes those give back memory that have been quiet since the
// last sweep.
func (s *Stack) sweep(y *sched.Yielder, ticks int) {
	s.eachRelayed(y, func(c *conn) {
		c.weigh()
		c.fitSocket()
		w := &c.sweep
		switch {
		case c.takeMoved(movedForSweep):
			w.still = 0
		case w.still < stillFor || w.still < sweepFaster && c.large() || c.memory.payer.Scarce() && !c.memory.tight.Load():
			w.still = uint8(min(int(w.still)+ticks, math.MaxUint8))
			if w.still >= stillFor && (w.still >= sweepFaster || !c.large()) {
				c.outbound.rest()
				c.inbound.rest()
			}
		}
	})
}

// sweepBatch is the number of connections after which the sweeper yields: it takes a tenth of a
// millisecond for them.
const sweepBatch = 64

// eachRelayed calls f for each connection of this shard that is established. It yields in between:
// packets do not wait until it is done with all.
func (s *Stack) eachRelayed(y *sched.Yielder, f func(c *conn)) {
	s.swept = s.relayed(s.swept)
	defer clear(s.swept)
	for _, c := range s.swept {
		f(c)
		if y.Moved(1, sweepBatch) {
			s.stood.note(s.o.sweepTick())
		}
	}
}

// rest makes an idle direction shrink its buffer.
func (d *direction) rest() {
	d.quiet.Store(true)
	d.Wake()
}
