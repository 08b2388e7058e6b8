//go:build linux

package nat

import (
	"net/netip"
	"syscall"

	"syntap/stack/nat/flows"
	"syntap/stack/nat/gso"
	tunflow "syntap/tun/flow"
)

// recordDenied records a frame to a destination that policy forbids. It reports whether the client
// gets an answer; if not, the frame is counted.
func (n *NAT) recordDenied(f *gso.Frame, id *identity) bool {
	_, ok := n.recordUnsent(f, id, netip.AddrPort{})
	return ok
}

// recordUnroutable does the same for a frame to a target that the host has no route to.
func (n *NAT) recordUnroutable(
	f *gso.Frame, id *identity, target netip.AddrPort, errno syscall.Errno,
) bool {
	if !flows.IsUnroutable(errno) {
		return true
	}
	for _, m := range n.table.Of(id.client) {
		if m.(*mapping).flows.Unroutable(&id.key) {
			return true // it is on record
		}
	}
	d, ok := n.recordUnsent(f, id, target)
	if d != nil {
		n.recorder.ReportUnroutable(d)
	}
	return ok
}

// recordUnsent returns the Datagram that it has recorded, if it has.
func (n *NAT) recordUnsent(
	f *gso.Frame, id *identity, target netip.AddrPort,
) (d *tunflow.Datagram, ok bool) {
	if n.recorder == nil {
		return nil, true
	}
	if id.unsent = n.unsent.Opened(id.client, id.key, id.now); id.unsent != nil {
		return nil, true
	}
	d = newDatagram(f, id)
	d.Upstream, d.Denied = target, !target.IsValid()
	if a := n.o.Opened(d); a != tunflow.Admit {
		n.refused(f, a)
		return nil, false
	}
	n.unsent.Add(id.client, id.key, d, id.now)
	id.unsent = d
	return d, true
}
