//go:build linux

package nat

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"syntap/stack/dial"
	"syntap/stack/nat/flows"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	"syntap/stack/nat/rawecho"
	"syntap/stack/sched"
	tunflow "syntap/tun/flow"
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

	shards *Shards // nil = there are no others
	shard  int     // among them
	recent recent  // owned by the read loop

	burst *gso.Burst // owned by the read loop; nil until JoinBursts

	waiting atomic.Int32 // answers that wait for Options.BeforeAnswer

	carrying sync.Mutex // guards the fields below; taken before all others
	routes   *routes
	source   netip.Addr    // the client that may send and has sent last
	sourced  time.Duration // the time of that answer, on the table's clock
	out      hostsock.Msghdr
	unsent   *flows.Unsent
	rulings  rulings
	message  []byte // room for a datagram

	replies  *replies // owned by the poller
	raws     *rawecho.Sockets
	noEchoes sync.Once

	recorder   *flows.Recorder // nil where flows are not recorded
	heldRoutes *dial.Routes    // of its goroutine
}

// New returns a NAT without mappings. Serve ends the idle ones, Close all.
func New(router Router, poller *sched.Poller, dialer *dial.Dialer, stats *Stats, o Options) *NAT {
	o.setDefaults()
	t := mappings.New(o.Limits, &stats.Stats, o.Opened != nil)
	n := &NAT{
		o: o, router: router, poller: poller, dialer: dialer, stats: stats, table: t,
		routes: newRoutes(dialer), unsent: flows.NewUnsent(t), shards: o.Shards,
	}
	idents := rawecho.Idents{Of: 1}
	if o.Shards != nil {
		t.Share(o.Shards.places)
		n.shard = o.Shards.join(n)
		idents = rawecho.Idents{Part: n.shard, Of: o.Shards.number}
	}
	n.replies = newReplies(n)
	n.raws = rawecho.New(dialer, poller, &stats.DropReceiveQueue, n.replies.readyRaw, idents)
	if o.Opened != nil {
		n.recorder = n.newRecorder()
	}
	return n
}

// SetLimits changes the limits. A limit below the present number ends no mapping.
func (n *NAT) SetLimits(l mappings.Limits) {
	n.table.SetLimits(l)
}

// Serve ends idle mappings and flows, and sends what waited for a record, until Close.
func (n *NAT) Serve() {
	var all sync.WaitGroup
	all.Go(n.table.Serve)
	if n.recorder != nil {
		all.Go(func() {
			n.recorder.Serve(n.table.Closed())
			n.heldRoutes.Close()
		})
	}
	all.Wait()
}

// Close ends all mappings. No frame may come after it. The poller must end later, so that no event
// is lost.
func (n *NAT) Close() {
	n.forgetRecent() // the read loop has ended
	n.carrying.Lock()
	defer n.carrying.Unlock()
	n.table.Close()
	n.unsent = flows.NewUnsent(n.table)
	n.routes.kernel.Close()
}

// HasSent reports whether a client endpoint may have been sent a packet of size bytes from a far
// end. Of an echo, the identifier stands in for the client's port, and the far end has port 0. It
// may be called from any goroutine.
func (n *NAT) HasSent(from, client netip.AddrPort, echo bool, size int) bool {
	return slices.ContainsFunc(n.siblings(), func(n *NAT) bool {
		all := n.table.Of(mappings.Endpoint{AddrPort: client, Echo: echo})
		return slices.ContainsFunc(all, func(m mappings.Mapping) bool {
			return m.(*mapping).hasSent(from, size)
		})
	})
}

// newRecorder returns the recorder of flows. Frames that were held leave by its goroutine.
func (n *NAT) newRecorder() *flows.Recorder {
	n.heldRoutes = n.dialer.NewRoutes()
	return flows.New(n.table, flows.Options{
		Opened: n.o.Opened, Ended: n.o.Ended, SameSender: n.o.SameSender,
		Contradicts: n.o.Contradicts, Strict: n.o.Strict, Forbidden: n.o.Forbidden,
		HasMoved: func(k mappings.Key, target netip.AddrPort) bool {
			if n.o.KeepSource(k.Client.Addr()) {
				return false
			}
			local, err := n.heldRoutes.Source(target)
			return err == nil && local != k.Local
		},
		Again: n.carryAgain,
		Failed: func(f *gso.Frame, target netip.AddrPort, errno syscall.Errno) {
			n.failed(f, target, errno, n.heldRoutes, nil)
		},
		Open: &n.stats.Flows, Unsolicited: &n.stats.Unsolicited,
		DropUnrecorded: &n.stats.DropUnrecorded, DropDenied: &n.stats.DropDenied,
		DropClosed: &n.stats.DropSend,
	})
}

// Holds reports whether datagrams of clients wait for a record, or to be sent after it. It may be
// called from any goroutine.
func (n *NAT) Holds() bool { return n.recorder != nil && n.recorder.Holds() }

// Recorded says that the opening of a flow is on record, and lets its datagrams pass. It may be
// called from any goroutine.
func (n *NAT) Recorded(d *tunflow.Datagram) {
	if n = n.atHome(d); n.recorder != nil {
		n.recorder.Recorded(d)
	}
}

// OwnsRaw reports whether an inode is that of a raw socket by which the NAT sends echo requests: in
// the tables of the kernel these look like sockets that clients send by. It may be called from any
// goroutine.
func (n *NAT) OwnsRaw(inode uint32) bool { return n.raws.Owns(inode) }
