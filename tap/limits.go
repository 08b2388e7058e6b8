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

// givesUp is when netstack forgets an endpoint by itself that never got its third segment: 127 s
// after its SYN-ACK.
const givesUp = 130 * time.Second

// SetLimits puts the timeouts and the limits of o in force for handshakes that begin from now on.
// No handshake ends because a limit is below the present number. One that began with a longer
// timeout may hold up the expiry of later ones until its own.
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
