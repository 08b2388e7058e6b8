package tap

import "time"

// SetLimits puts the timeouts and the limits of o in force, for what begins from now on. Nothing
// ends because a limit is below what there is; an attempt that began with a longer timeout may hold
// up the expiry of later ones until its own.
func (t *Tap) SetLimits(o Options) { t.tracker.setLimits(o) }

func (t *Tracker) setLimits(o Options) {
	setDefault(&o.Timeout, 5*time.Second)
	setDefault(&o.DialTimeout, 10*time.Second)
	setDefault(&o.TCPFlows, 16384)
	setDefault(&o.TCPFlowsPerSource, max(1, o.TCPFlows/4))
	for i := range t.shards { // whoever reads them has one locked
		t.shards[i].mu.Lock()
		defer t.shards[i].mu.Unlock()
	}
	t.o.TCPFlows, t.o.TCPFlowsPerSource = o.TCPFlows, o.TCPFlowsPerSource
	t.lives = [classes]time.Duration{
		opening:  o.DialTimeout + o.Timeout, // the end of the dial ends the attempt earlier
		answered: o.Timeout,
		held:     givesUp,
		silent:   o.DialTimeout,
		told:     o.DialTimeout,
	}
}
