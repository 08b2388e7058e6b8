//go:build linux

package nat

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"syntap/stack/dial"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	"syntap/stack/sched"
)

// NAT carries the datagrams and echo requests of clients on by sockets of the host, and brings the
// answers back. Its methods UDP, Echo and Flush are for one goroutine, the read loop.
type NAT struct {
	o      Options
	router Router
	poller *sched.Poller
	dialer *dial.Dialer
	stats  *Stats
	table  *mappings.Table

	burst *gso.Burst // owned by the read loop; nil until JoinBursts

	carrying sync.Mutex // guards the fields below; taken before all others
	routes   *routes
	source   netip.Addr    // the client that may send and has sent last
	sourced  time.Duration // the time of that answer, on the table's clock
	out      hostsock.Msghdr
	unsent   *unsent
	rulings  rulings
	message  []byte // room for a datagram

	replies  *replies // owned by the poller
	raws     *rawSockets
	noEchoes sync.Once

	recorder *recorder // nil where flows are not recorded
}

// New returns a NAT without mappings. Serve ends the idle ones, Close all.
func New(router Router, poller *sched.Poller, dialer *dial.Dialer, stats *Stats, o Options) *NAT {
	o.setDefaults()
	t := mappings.New(o.Limits, &stats.Stats, o.Opened != nil)
	n := &NAT{
		o: o, router: router, poller: poller, dialer: dialer, stats: stats, table: t,
		routes: newRoutes(dialer), unsent: newUnsent(t),
	}
	n.replies = newReplies(n)
	n.raws = newRawSockets(dialer, poller, n.replies)
	if o.Opened != nil {
		n.recorder = newRecorder(n)
	}
	return n
}

// SetLimits puts limits in force. No mapping ends because a limit is below their number.
func (n *NAT) SetLimits(l mappings.Limits) {
	n.table.SetLimits(l)
}

// Serve ends idle mappings and flows, and sends what waited for a record, until Close.
func (n *NAT) Serve() {
	var all sync.WaitGroup
	all.Go(n.table.Serve)
	if n.recorder != nil {
		all.Go(func() { n.recorder.serve(n.table.Closed()) })
	}
	all.Wait()
}

// Close ends all mappings. No frame may come after it, and no event until then may be lost: the
// poller ends later.
func (n *NAT) Close() {
	n.carrying.Lock()
	defer n.carrying.Unlock()
	n.table.Close()
	n.unsent = newUnsent(n.table)
	n.routes.kernel.Close()
}

// HasSent reports whether a client endpoint may have been sent a packet of size bytes from a far
// end. Of an echo, the identifier stands in for the client's port, and the far end has port 0. It
// may be called from any goroutine.
func (n *NAT) HasSent(from, client netip.AddrPort, echo bool, size int) bool {
	all := n.table.Of(mappings.Endpoint{AddrPort: client, Echo: echo})
	return slices.ContainsFunc(all, func(m mappings.Mapping) bool {
		return m.(*mapping).hasSent(from, size)
	})
}
