//go:build linux

package stack

import (
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	tunflow "syntap/tun/flow"
)

// began notes what began the end of the connection; what comes later is its consequence.
func (f *flow) began(e tunflow.End) { f.end.CompareAndSwap(uint32(tunflow.Open), uint32(e)) }

// clientFailure says how netstack lost the client.
func clientFailure(err tcpip.Error) tunflow.End {
	if _, ok := err.(*tcpip.ErrTimeout); ok {
		return tunflow.ClientTimeout
	}
	return tunflow.ClientRST
}

// serverFailure says how the host lost the far side.
func serverFailure(errno syscall.Errno) tunflow.End {
	if errno == unix.ETIMEDOUT {
		return tunflow.ServerTimeout
	}
	return tunflow.ServerRST
}

// flowDone reports a connection that is over: both halves are done, and netstack has finished too.
func (s *Stack) flowDone(f *flow) {
	if s.o.FlowDone == nil {
		return
	}
	f.began(tunflow.RouterRST) // unless something else has
	done := tunflow.Flow{
		Key: f.name(), ServerISN: f.serverISN,
		Started: f.started, Duration: f.ended.Sub(f.started),
		Outbound: f.outbound.bytes, Inbound: f.inbound.bytes, End: tunflow.End(f.end.Load()),
	}
	if stats, ok := f.ep.Stats().(*tcp.Stats); ok {
		done.Retransmits = stats.SendErrors.Retransmits.Value()
	}
	s.o.FlowDone(done)
}
