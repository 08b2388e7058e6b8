//go:build linux

package stack

import (
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// began notes what began the end of the connection; what comes later is its consequence.
func (f *flow) began(e End) { f.end.CompareAndSwap(uint32(Carrying), uint32(e)) }

// clientFailure says how netstack lost the client.
func clientFailure(err tcpip.Error) End {
	if _, ok := err.(*tcpip.ErrTimeout); ok {
		return ClientTimeout
	}
	return ClientRST
}

// serverFailure says how the host lost the far side.
func serverFailure(errno syscall.Errno) End {
	if errno == unix.ETIMEDOUT {
		return ServerTimeout
	}
	return ServerRST
}

// flowDone reports a connection that is over: both halves are done, and netstack has finished too.
func (s *Stack) flowDone(f *flow) {
	if s.o.FlowDone == nil {
		return
	}
	done := Flow{
		Client: f.key.client, Server: f.key.server, ISN: f.isn, ServerISN: f.serverISN,
		Started: f.started, Duration: f.ended.Sub(f.started),
		Outbound: f.outbound.bytes, Inbound: f.inbound.bytes, End: End(f.end.Load()),
	}
	if stats, ok := f.ep.Stats().(*tcp.Stats); ok {
		done.Retransmits = stats.SendErrors.Retransmits.Value()
	}
	s.o.FlowDone(done)
}
