package tap

import (
	"time"

	"syntap/tap/tracker"
)

// limits bounds the flows of a live table.
type limits struct {
	flows     int // handshakes and connections together
	perSource int // of one client address
}

// givesUp is the time after the SYN-ACK by which netstack has given up an endpoint without a third
// segment: it does so after 127 s.
const givesUp = 130 * time.Second

// SetLimits applies the timeouts and limits of o to handshakes that begin from now on. A limit
// below the present number ends no handshake. A handshake that began with a longer timeout may
// delay the expiry of later ones until its own.
func (t *Tap) SetLimits(o Options) {
	l, table := o.limits()
	t.live.SetLimits(table, func() { t.live.limits = l })
}

// limits returns the limits with defaults for zero values.
func (o *Options) limits() (limits, tracker.Limits) {
	timeout, dial := orDefault(o.Timeout, 5*time.Second), orDefault(o.DialTimeout, 10*time.Second)
	flows := orDefault(o.TCPFlows, 16384)
	var table tracker.Limits
	table.Lifetime = [tracker.States]time.Duration{
		tracker.StateSYNSent:     dial + timeout, // the end of the dial comes earlier
		tracker.StateSYNReceived: timeout,
		tracker.StateHeld:        givesUp,
		tracker.StateUnanswered:  dial,
		tracker.StateClosed:      dial,
	}
	table.Capacity[tracker.StateUnanswered] = flows
	table.Capacity[tracker.StateClosed] = flows
	return limits{flows: flows, perSource: orDefault(o.TCPFlowsPerSource, max(1, flows/4))}, table
}

func orDefault[T int | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}
