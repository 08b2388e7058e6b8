//go:build linux

package stack

import (
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/stack/dial"
	"syntap/tun"
)

// nat carries the datagrams and echo requests of clients on by sockets of the host, and brings the
// answers back. Of the router around it, it knows natRouter alone.
type nat struct {
	o      natOptions
	router natRouter
	poller natPoller
	dialer *dial.Dialer
	stats  *Stats
	table  *table

	// The read loop's.
	ways   *ways
	source source
	out    message
	burst  *burst // nil where the link does not tell that it has nothing to read

	in       *inbound  // the poller's
	noEchoes sync.Once // says that they do not work here
}

// natRouter is the router around a nat. Its methods may be called from any goroutine.
type natRouter interface {
	// WriteInbound writes one frame to a client, as tun.Link.WriteFrame.
	WriteInbound(off tun.Offload, bufs [][]byte) error
	// ClientMTU returns the size in bytes of the largest packet that is known to reach a client in
	// one piece. It may exceed the link's MTU.
	ClientMTU(client netip.Addr) int
	// WriteICMPError writes an ICMP error to a client, or drops it where their rate is exceeded.
	WriteICMPError(packet []byte)
	// LocalFailure counts and logs a failure of a host socket that is this host's own.
	LocalFailure(err error)
	// Idle reports whether nothing but datagrams waits to be carried.
	Idle() bool
}

// natPoller watches sockets.
type natPoller interface {
	// Add has ready called with the epoll events of a socket that datagrams may be read from, or that
	// has an error to report. It is edge-triggered, and all calls come from one goroutine.
	Add(fd int, ready func(events uint32)) error
	// Again has the events of a socket delivered that were left for later.
	Again(fd int)
	// Forget ends the watch; the caller closes fd next.
	Forget(fd int)
}

// natOptions of a nat.
type natOptions struct {
	natLimits
	MTU        int                     // of the link, in bytes
	Sources    func(netip.Addr) bool   // addresses that may send; nil allows all
	Local      func(netip.Addr) bool   // programs of this host
	OnHost     func(netip.Addr) bool   // addresses of this host
	KeepSource func(netip.Addr) bool   // clients that keep their address; nil selects none
	Denied     func(server netip.Addr) // policy forbids a destination; nil disables the report
	// DF returns the don't-fragment policy of a mapping's socket; nil leaves it to the client.
	DF  func(client, server netip.AddrPort) dial.DF
	Log logrus.FieldLogger
}

func (o *natOptions) setDefaults() {
	if o.Sources == nil {
		o.Sources = func(netip.Addr) bool { return true }
	}
	if o.KeepSource == nil {
		o.KeepSource = func(netip.Addr) bool { return false }
	}
	if o.Denied == nil {
		o.Denied = func(netip.Addr) {}
	}
	if o.DF == nil {
		o.DF = func(netip.AddrPort, netip.AddrPort) dial.DF { return dial.KernelDF }
	}
}

// natLimits are the most mappings there may be, and how long one that is idle lives.
type natLimits struct {
	Mappings, PerSource     int
	UDPTimeout, ICMPTimeout time.Duration
}

func newNAT(router natRouter, poller natPoller, dialer *dial.Dialer, stats *Stats, o natOptions) *nat {
	o.setDefaults()
	return &nat{
		o: o, router: router, poller: poller, dialer: dialer, stats: stats,
		table: newTable(o.natLimits, o.Local, stats), ways: newWays(dialer), in: newInbound(),
	}
}

// joinBursts has datagrams that come one by one leave as super-frames. The caller calls flush when
// it has no more of them.
func (n *nat) joinBursts() { n.burst = newBurst() }

// close ends all mappings, and table.serve.
func (n *nat) close() {
	n.ways.routes.Close()
	n.table.close()
}

// writeInbound writes a packet to a client.
func (n *nat) writeInbound(packet ...[]byte) {
	if err := n.router.WriteInbound(tun.Offload{}, packet); err != nil {
		n.stats.InboundErrors.Add(1)
	}
}
