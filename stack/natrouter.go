//go:build linux

package stack

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"syntap/stack/sched"
	"syntap/tun"
)

// routerOfNAT is the Stack as its nat sees it.
type routerOfNAT struct{ *Stack }

// WriteInbound implements natRouter.
func (s routerOfNAT) WriteInbound(off tun.Offload, bufs [][]byte) error {
	return s.link.WriteFrame(off, bufs)
}

// ClientMTU implements natRouter.
func (s routerOfNAT) ClientMTU(client netip.Addr) int { return s.paths.mtu(client) }

// WriteICMPError implements natRouter.
func (s routerOfNAT) WriteICMPError(packet []byte) { s.writeICMPError(packet) }

// LocalFailure implements natRouter.
func (s routerOfNAT) LocalFailure(err error) { s.localFailure(err) }

// Idle implements natRouter.
func (s routerOfNAT) Idle() bool { return s.sched.Idle() }

func (o *Options) natLimits() natLimits {
	return natLimits{
		Mappings: o.UDPFlows, PerSource: o.UDPFlowsPerSource,
		UDPTimeout: o.UDPTimeout, ICMPTimeout: o.ICMPTimeout,
	}
}

// pollerOfNAT is the poller as the nat sees it.
type pollerOfNAT struct{ *sched.Poller }

// datagramSocket is a socket of the nat's.
type datagramSocket struct {
	sched.Watch
	ready func(events uint32)
}

// Ready implements sched.Watcher.
func (s *datagramSocket) Ready(events uint32) { s.ready(events) }

// Add implements natPoller. A UDP socket is writable anew with each datagram that has left, so that
// event is left out.
func (p pollerOfNAT) Add(fd int, ready func(events uint32)) error {
	s := &datagramSocket{ready: ready}
	return p.Poller.Add(fd, &s.Watch, s, unix.EPOLLIN)
}

// Again implements natPoller.
func (p pollerOfNAT) Again(fd int) { p.Rearm(fd) }

// Forget implements natPoller.
func (p pollerOfNAT) Forget(fd int) { p.Remove(fd) }
