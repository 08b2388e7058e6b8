//go:build linux

package stack

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"syntap/stack/nat"
	"syntap/stack/resolver"
	"syntap/tun"
	tunflow "syntap/tun/flow"
)

// DatagramRecorded reports that the opening of a flow is on record: its datagrams may pass. Any
// goroutine may call it.
func (s *Stack) DatagramRecorded(d *tunflow.Datagram) { s.nat.Recorded(d) }

func (s *Stack) natOptions() nat.Options {
	o := &s.o
	n := nat.Options{
		Limits: o.Datagrams, MTU: s.link.MTU(), Sources: o.Sources, Local: o.Local,
		OnHost: o.Host.Contains, KeepSource: o.KeepSource, Denied: o.Denied, DF: s.df, Log: o.Log,
		Opened: o.DatagramOpened, SameSender: o.SameSender, BeforeAnswer: o.BeforeDatagramAnswer,
		Shards: s.nats,
		Ended:  o.FlowDone, Answered: o.DNSAnswered, Strict: o.Strict, Contradicts: o.Contradicts, Forbidden: o.Forbidden,
	}
	if o.Question != nil {
		n.Blocked = resolver.Blocked
		n.Question = func(client, server netip.AddrPort, query *tunflow.DNS) *tunflow.Decision {
			return o.Question(tunflow.UDP, client, server, nil, query)
		}
	}
	return n
}

// OwnsRaw reports whether an inode is that of a raw socket through which the stack sends echo
// requests. Any goroutine may call it.
func (s *Stack) OwnsRaw(inode uint32) bool {
	return slices.ContainsFunc(s.shards, func(s *Stack) bool { return s.nat.OwnsRaw(inode) })
}

// routerOfNAT is the Stack as its NAT sees it.
type routerOfNAT struct{ *Stack }

var _ nat.Router = routerOfNAT{}

// WriteInbound implements nat.Router.
func (s routerOfNAT) WriteInbound(off tun.Offload, bufs [][]byte) error {
	return s.link.WriteFrame(off, bufs)
}

// ClientMTU implements nat.Router.
func (s routerOfNAT) ClientMTU(client netip.Addr) int { return s.paths.MTU(client) }

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
func (s routerOfNAT) Idle() bool {
	return !slices.ContainsFunc(s.engines, func(e *engine) bool { return !e.sched.Idle() })
}
