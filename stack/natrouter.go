//go:build linux

package stack

import (
	"net/netip"
	"sync/atomic"

	"syntap/stack/nat"
	"syntap/tun"
	tunflow "syntap/tun/flow"
)

// DatagramRecorded says that the opening of a flow is on record, and lets its datagrams pass. It
// may be called from any goroutine.
func (s *Stack) DatagramRecorded(d *tunflow.Datagram) { s.nat.Recorded(d) }

// routerOfNAT is the Stack as its NAT sees it.
type routerOfNAT struct{ *Stack }

var _ nat.Router = routerOfNAT{}

// WriteInbound implements nat.Router.
func (s routerOfNAT) WriteInbound(off tun.Offload, bufs [][]byte) error {
	return s.link.WriteFrame(off, bufs)
}

// ClientMTU implements nat.Router.
func (s routerOfNAT) ClientMTU(client netip.Addr) int { return s.paths.mtu(client) }

// WriteICMPError implements nat.Router.
func (s routerOfNAT) WriteICMPError(packet []byte) { s.writeICMPError(packet) }

// TakeMemory implements nat.Router.
func (s routerOfNAT) TakeMemory(client netip.Addr, isLocal bool, n int64) (full *atomic.Uint64) {
	if account := s.memory.Take(client, isLocal, n); account != nil {
		return s.fullOf(account)
	}
	return nil
}

// GiveMemory implements nat.Router.
func (s routerOfNAT) GiveMemory(client netip.Addr, isLocal bool, n int64) {
	s.memory.Give(client, isLocal, n)
}

// LocalFailure implements nat.Router.
func (s routerOfNAT) LocalFailure(err error) { s.localFailure(err) }

// Idle implements nat.Router.
func (s routerOfNAT) Idle() bool { return s.sched.Idle() }
