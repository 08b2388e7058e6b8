//go:build linux

package nat

import (
	"net/netip"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"syntap/stack/nat/mappings"
	"syntap/tun"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// Router is the router around a [NAT]. Its methods may be called from any goroutine.
type Router interface {
	// WriteInbound writes one frame to a client, as tun.Link.WriteFrame does.
	WriteInbound(off tun.Offload, bufs [][]byte) error
	// WriteICMPError writes an ICMP error to a client, or drops it where their rate is exceeded.
	WriteICMPError(packet []byte)
	// ClientMTU returns the length in bytes of the longest packet that is known to reach a client
	// in one piece. It may exceed the link's MTU.
	ClientMTU(client netip.Addr) int
	// TakeMemory charges a client for n bytes, or returns the counter of drops by the limit that is
	// reached. Each charge ends by a GiveMemory with the same arguments.
	TakeMemory(client netip.Addr, isLocal bool, n int64) (full *atomic.Uint64)
	GiveMemory(client netip.Addr, isLocal bool, n int64)
	// LocalFailure counts and logs a failure of a host socket that is this host's own.
	LocalFailure(err error)
	// Idle reports whether the router has nothing to carry but datagrams.
	Idle() bool
}

// Options of a NAT. No function may block.
type Options struct {
	Limits     mappings.Limits
	MTU        int                   // of the link, in bytes
	Sources    func(netip.Addr) bool // addresses that may send; nil allows all
	Local      func(netip.Addr) bool // clients that are programs of this host; nil selects OnHost
	OnHost     func(netip.Addr) bool // addresses of this host
	KeepSource func(netip.Addr) bool // clients whose sockets get their address; nil selects none

	// Denied receives the destination of each datagram that policy forbids, and the decision. nil
	// disables it.
	Denied func(server netip.Addr, d *tunflow.Decision)

	// DF returns the don't-fragment policy of the socket that a client endpoint gets as it first
	// sends to server. An echo has its identifier for the client's port and 0 for the server's. nil
	// leaves the bit to the client.
	DF func(client, server netip.AddrPort) packet.DF

	// Opened receives each flow before its first datagram leaves, and each that policy forbids or
	// the host has no route for. Where it returns Admit, the datagrams of the flow wait until
	// NAT.Recorded, which it may call itself; with Wait they are dropped, with Refuse answered as
	// well. It owns the Datagram. nil disables records: nothing waits, and Ended is not called.
	Opened func(*tunflow.Datagram) tunflow.Admission

	// BeforeAnswer holds back the answer to a datagram of a flow that policy forbids or the host
	// has no route for, until it calls answer, once and from any goroutine. d is the first of the
	// flow. It must not block. nil disables it.
	BeforeAnswer func(d *tunflow.Datagram, answer func())

	// SameSender reports whether the socket by which a client sends now is the one that has begun a
	// UDP flow. It is asked about flows that Opened has admitted, after a pause of the client: its
	// port may be another program's by then. Where it is not, a new flow begins. nil disables it.
	SameSender func(*tunflow.Datagram) bool

	// Ended receives the end of each flow that was admitted and not denied, once. It may be called
	// with locks of the NAT held, and must not call it. nil disables it.
	Ended func(tunflow.Flow)

	// Answered receives each response to a DNS query before the client does, with the Opening of
	// the query's Datagram. It needs Opened, and must not call the NAT. nil disables it.
	Answered func(client netip.AddrPort, opening any, response *tunflow.DNS)

	// Question decides on a DNS query of a client by the names that it asks for. A query that is
	// denied does not leave: the client gets Blocked in the place of a response. It must not block.
	// nil disables it.
	Question func(client, server netip.AddrPort, query *tunflow.DNS) *tunflow.Decision
	// Blocked returns the response to a query that Question denies, or nil for none. It is needed
	// with Question.
	Blocked func(query []byte) []byte

	// Contradicts reports whether a ClientHello of QUIC asks for another name than that of its
	// flow, of which no datagram then leaves any more. Datagrams wait until the hello is whole. Of
	// the flow, only Key, Datagram, Opening and Hello are set. It needs Opened, and must not block.
	// nil disables it.
	Contradicts func(*tunflow.Flow) bool
	// Strict reports whether Contradicts is to be asked about a flow with this opening. nil is
	// always.
	Strict func(opening any) bool
	// Forbidden receives each flow of which no datagram will leave any more for the ClientHello of
	// its client. Hello is nil where that cannot be read. It must not block. nil disables it.
	Forbidden func(f tunflow.Flow, remote netip.AddrPort)

	Shards *Shards            // that the NAT joins; nil = it is the only one
	Log    logrus.FieldLogger // nil is silent
}

func (o *Options) setDefaults() {
	if o.Sources == nil {
		o.Sources = func(netip.Addr) bool { return true }
	}
	if o.Local == nil {
		o.Local = o.OnHost
	}
	if o.KeepSource == nil {
		o.KeepSource = func(netip.Addr) bool { return false }
	}
	if o.Denied == nil {
		o.Denied = func(netip.Addr, *tunflow.Decision) {}
	}
	if o.DF == nil {
		o.DF = func(_, _ netip.AddrPort) packet.DF { return packet.PreserveDF }
	}
	if o.Log == nil {
		silent := logrus.New()
		silent.SetLevel(logrus.PanicLevel)
		o.Log = silent
	}
}
