//go:build linux

package flows

import (
	"container/list"
	"net/netip"
	"time"

	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
)

// Unsent remembers the flows that are on record although nothing of them leaves, since policy
// forbids their destination or the host has no route there, so that a client that sends on does not
// fill the log. It belongs to the read loop. At its bounds the entry that was used longest ago
// gives way: that flow is recorded again.
type Unsent struct {
	table    *mappings.Table
	byKey    map[unsentKey]*unsentFlow
	all      list.List                 // of *unsentFlow, the longest idle first
	byClient map[netip.Addr]*list.List // the same of one client
}

type unsentKey struct {
	client mappings.Endpoint
	flow   Key
}

type unsentFlow struct {
	key          unsentKey
	opened       *tunflow.Datagram
	used         time.Duration // on the table's clock
	inAll, inOwn *list.Element
}

// NewUnsent returns an empty set, with the bounds of a table.
func NewUnsent(t *mappings.Table) *Unsent {
	return &Unsent{
		table: t, byKey: make(map[unsentKey]*unsentFlow), byClient: make(map[netip.Addr]*list.List),
	}
}

// Opened returns the first datagram of a flow that is on record, nil of others, and notes that the
// flow is in use.
func (u *Unsent) Opened(client mappings.Endpoint, flow Key, now time.Duration) *tunflow.Datagram {
	k := unsentKey{client, flow}
	e := u.byKey[k]
	if e == nil {
		return nil
	}
	if now-e.used >= u.table.Lifetime(k.client.Echo) {
		u.remove(e)
		return nil
	}
	e.used = now
	u.all.MoveToBack(e.inAll)
	u.byClient[k.client.Addr()].MoveToBack(e.inOwn)
	return e.opened
}

// Add notes that a flow is on record, by its first datagram.
func (u *Unsent) Add(client mappings.Endpoint, flow Key, d *tunflow.Datagram, now time.Duration) {
	k := unsentKey{client, flow}
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
	e := &unsentFlow{key: k, opened: d, used: now}
	e.inAll, e.inOwn = u.all.PushBack(e), own.PushBack(e)
	u.byKey[k] = e
}

func (u *Unsent) remove(e *unsentFlow) {
	delete(u.byKey, e.key)
	u.all.Remove(e.inAll)
	client := e.key.client.Addr()
	own := u.byClient[client]
	own.Remove(e.inOwn)
	if own.Len() == 0 {
		delete(u.byClient, client)
	}
}
