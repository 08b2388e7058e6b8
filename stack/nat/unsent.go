//go:build linux

package nat

import (
	"container/list"
	"net/netip"
	"syscall"
	"time"

	"syntap/stack/nat/gso"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
)

// unsent remembers the flows that are on record although nothing of them leaves, since policy
// forbids their destination or the host has no route there, so that a client that sends on does not
// fill the log. It belongs to the read loop. At its bounds the entry that was used longest ago
// gives way: that flow is recorded again.
type unsent struct {
	table    *mappings.Table
	byKey    map[unsentKey]*unsentFlow
	all      list.List                 // of *unsentFlow, the longest idle first
	byClient map[netip.Addr]*list.List // the same of one client
}

type unsentKey struct {
	client mappings.Endpoint
	flow   flowKey
}

type unsentFlow struct {
	key          unsentKey
	used         time.Duration // on the table's clock
	inAll, inOwn *list.Element
}

func newUnsent(t *mappings.Table) *unsent {
	return &unsent{
		table: t, byKey: make(map[unsentKey]*unsentFlow), byClient: make(map[netip.Addr]*list.List),
	}
}

// knows reports whether a flow is on record, and notes that it is in use.
func (u *unsent) knows(k unsentKey, now time.Duration) bool {
	e := u.byKey[k]
	if e == nil {
		return false
	}
	if now-e.used >= u.table.Lifetime(k.client.Echo) {
		u.remove(e)
		return false
	}
	e.used = now
	u.all.MoveToBack(e.inAll)
	u.byClient[k.client.Addr()].MoveToBack(e.inOwn)
	return true
}

// add notes that a flow is on record.
func (u *unsent) add(k unsentKey, now time.Duration) {
	most, perClient := u.table.Bounds()
	for u.all.Len() >= most {
		u.remove(u.all.Front().Value.(*unsentFlow))
	}
	own := u.byClient[k.client.Addr()]
	if own == nil {
		own = list.New()
		u.byClient[k.client.Addr()] = own
	} else if own.Len() >= perClient {
		u.remove(own.Front().Value.(*unsentFlow))
		u.byClient[k.client.Addr()] = own
	}
	e := &unsentFlow{key: k, used: now}
	e.inAll, e.inOwn = u.all.PushBack(e), own.PushBack(e)
	u.byKey[k] = e
}

func (u *unsent) remove(e *unsentFlow) {
	delete(u.byKey, e.key)
	u.all.Remove(e.inAll)
	client := e.key.client.Addr()
	own := u.byClient[client]
	own.Remove(e.inOwn)
	if own.Len() == 0 {
		delete(u.byClient, client)
	}
}

// recordDenied puts a frame to a destination that policy forbids on record. It reports whether the
// client is to be answered; otherwise the frame is counted.
func (n *NAT) recordDenied(f *gso.Frame, id *identity) bool {
	_, ok := n.recordUnsent(f, id, netip.AddrPort{})
	return ok
}

// recordUnroutable does the same for a frame to a target that the host has no route to.
func (n *NAT) recordUnroutable(
	f *gso.Frame, id *identity, target netip.AddrPort, errno syscall.Errno,
) bool {
	if !isUnroutable(errno) {
		return true
	}
	for _, m := range n.table.Of(id.client) {
		if m.(*mapping).flows.unroutable(&id.key) {
			return true // it is on record
		}
	}
	d, ok := n.recordUnsent(f, id, target)
	if d != nil {
		n.recorder.report(&flow{opened: d, admitted: true, outcome: tunflow.NotReachable})
	}
	return ok
}

// recordUnsent returns the Datagram that it has put on record, if it has.
func (n *NAT) recordUnsent(
	f *gso.Frame, id *identity, target netip.AddrPort,
) (d *tunflow.Datagram, ok bool) {
	if n.recorder == nil {
		return nil, true
	}
	k := unsentKey{id.client, id.key}
	if n.unsent.knows(k, id.now) {
		return nil, true
	}
	d = newDatagram(f, id)
	d.Upstream, d.Denied = target, !target.IsValid()
	if a := n.o.Opened(d); a != tunflow.Admit {
		n.refused(f, a)
		return nil, false
	}
	n.unsent.add(k, id.now)
	id.unsent = d
	return d, true
}
