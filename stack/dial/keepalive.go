package dial

import (
	"cmp"
	"time"
)

// Keepalive says when a silent TCP connection is probed, and given up (RFC 9293 §3.8.4). Zero
// fields select Linux's defaults, which are named with each.
type Keepalive struct {
	Idle     time.Duration // of silence before the first probe, whole seconds; 2 h (net.ipv4.tcp_keepalive_time)
	Interval time.Duration // between two probes, whole seconds; 75 s (net.ipv4.tcp_keepalive_intvl)
	Probes   int           // without an answer until it is given up; 9 (net.ipv4.tcp_keepalive_probes)
}

// OrDefault returns k with defaults in the place of zeros.
func (k Keepalive) OrDefault() Keepalive {
	return Keepalive{
		Idle:     cmp.Or(k.Idle, 2*time.Hour),
		Interval: cmp.Or(k.Interval, 75*time.Second),
		Probes:   cmp.Or(k.Probes, 9),
	}
}
