//go:build linux

package stack

import (
	"net/netip"
	"slices"
)

// rejectTooBig tells the client the path MTU where its packet is longer and may not be fragmented
// (RFC 1191 §4, RFC 4443 §3.2).
func (n *nat) rejectTooBig(f *frame, target netip.AddrPort) {
	mtu := n.ways.routes.MTU(target)
	if mtu == 0 || mtu > 0xffff {
		return
	}
	typ, code := byte(icmp4Unreachable), byte(icmp4FragmentationNeeded)
	if f.ip.v6 {
		typ, code = icmp6PacketTooBig, 0
	}
	_, dst := f.ip.addrs(f.head)
	n.router.WriteICMPError(icmpErrorFor(&f.ip, f.head, dst, typ, code, uint32(mtu)))
}

// largePacket is the largest packet that was sent to a client from one far end.
type largePacket struct {
	from netip.AddrPort
	size int
}

// noteSent remembers a packet that may be too big for some link on its way to the client.
func (m *mapping) noteSent(from netip.AddrPort, size int) {
	if size <= minPathMTU4 || m.key.client.Addr().Is6() && size <= minPathMTU6 {
		return
	}
	for i := range m.large {
		if m.large[i].from == from && m.large[i].size >= size {
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.large[1:], m.large[:])
	m.large[0] = largePacket{from, size}
}

// hasSent reports whether a client endpoint may have been sent a packet of that size.
func (n *nat) hasSent(from, client netip.AddrPort, echo bool, size int) bool {
	return slices.ContainsFunc(n.table.mappingsOf(client, echo), func(m *mapping) bool {
		return m.hasSent(from, size)
	})
}

// hasSent reports whether the client may have been sent a packet of that size.
func (m *mapping) hasSent(from netip.AddrPort, size int) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.ContainsFunc(m.large[:], func(l largePacket) bool { return l.from == from && size <= l.size })
}
