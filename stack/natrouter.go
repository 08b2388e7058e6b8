//go:build linux

package stack

import (
	"net/netip"

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
func (s routerOfNAT) Idle() bool { return s.queue.isIdle() }

func (o *Options) natLimits() natLimits {
	return natLimits{
		Mappings: o.UDPFlows, PerSource: o.UDPFlowsPerSource,
		UDPTimeout: o.UDPTimeout, ICMPTimeout: o.ICMPTimeout,
	}
}

// pollerOfNAT is the poller as the nat sees it.
type pollerOfNAT struct{ *poller }

// datagramPollee is a socket of the nat's.
type datagramPollee struct {
	watch watch
	call  func(events uint32)
}

func (p *datagramPollee) ready(events uint32, _ *worker) { p.call(events) }

// Add implements natPoller.
func (p pollerOfNAT) Add(fd int, ready func(events uint32)) error {
	socket := &datagramPollee{call: ready}
	socket.watch.owner = socket
	return p.add(fd, &socket.watch, datagramEvents)
}

// Again implements natPoller.
func (p pollerOfNAT) Again(fd int) {
	if w := p.slots[fd].Load(); w != nil {
		p.again(fd, w, datagramEvents)
	}
}

// Forget implements natPoller.
func (p pollerOfNAT) Forget(fd int) { p.remove(fd) }
