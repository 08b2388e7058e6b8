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
	// WriteICMPError writes an ICMP error to a client, or drops it if the rate is exceeded.
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

	// DF returns the don't-fragment policy of the socket of a client endpoint that first sends to
	// server. For an echo, the client's port is its identifier, and the server's is 0. nil leaves
	// the bit to the client.
	DF func(client, server netip.AddrPort) packet.DF

	// Opened receives each flow before its first datagram leaves, and each that policy forbids or
	// to which the host has no route. If it returns Admit, the datagrams of the flow wait for
	// NAT.Recorded, which it may call itself. With Wait they are dropped, with Refuse they are also
	// answered. It owns the Datagram. nil disables records: nothing waits, and Ended is not called.
	Opened func(*tunflow.Datagram) tunflow.Admission

	// BeforeAnswer holds back the answer to a datagram of a flow that policy forbids or the host
	// has no route for, until it calls answer, once and from any goroutine. d is the first of the
	// flow. It must not block. nil disables it.
	BeforeAnswer func(d *tunflow.Datagram, answer func())

	// SameSender reports whether a client still sends through the socket that has begun a UDP flow.
	// It is called for flows that Opened has admitted, after a pause of the client: its port may be
	// another program's by then. If it returns false, a new flow begins. nil disables it.
	SameSender func(*tunflow.Datagram) bool

	// Ended receives the end of each flow that was admitted and not denied, once. It may be called
	// with locks of the NAT held, and must not call it. nil disables it.
	Ended func(tunflow.Flow)

	// Answered receives each response to a DNS query before the client does, with the Opening of
	// the query's Datagram. It needs Opened, and must not call the NAT. nil disables it.
	Answered func(client netip.AddrPort, opening tunflow.Opening, response *tunflow.DNS)

	// Question decides on a client's DNS query by the names in its questions. A denied query does
	// not leave: the client gets the response of Blocked. It must not block. nil disables it.
	Question func(client, server netip.AddrPort, query *tunflow.DNS) *tunflow.Decision
	// Blocked returns the response to a query that Question denies, or nil for none. It is needed
	// with Question.
	Blocked func(query []byte) []byte

	// Contradicts reports whether a QUIC ClientHello asks for another name than that of its flow.
	// If so, all later datagrams of the flow are dropped. Datagrams wait until the hello is
	// complete. Of the flow, only Key, Datagram, Opening and Hello are set. It needs Opened, and
	// must not block. nil disables it.
	Contradicts func(*tunflow.Flow) bool
	// Strict reports whether Contradicts applies to a flow with this opening. nil means always.
	Strict func(opening tunflow.Opening) bool
	// Forbidden receives each flow whose later datagrams will all be dropped because of its
	// ClientHello. Hello is nil if that cannot be read. It must not block. nil disables it.
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
