//go:build linux

package nat

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/gso"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// deny records, counts and answers a frame whose destination policy forbids.
func (n *NAT) deny(f *gso.Frame, id *identity) {
	n.o.Denied(id.key.Server.Addr(), id.decision)
	if n.recordDenied(f, id) {
		f.Drop(&n.stats.DropDenied)
		n.reject(f, id.unsent, packet.ICMPProhibited, packet.ICMPv6Prohibited)
	}
}

// failed counts a frame that the host did not send, and answers it if the host's routes are the
// reason. Other failures are the host's own, and get no answer.
func (n *NAT) failed(
	f *gso.Frame, target netip.AddrPort, errno syscall.Errno, routes *dial.Routes,
	unsent *tunflow.Datagram,
) {
	f.Drop(&n.stats.DropSend)
	switch errno {
	case unix.ENETUNREACH:
		n.reject(f, unsent, packet.ICMPNetUnreachable, packet.ICMPv6NoRoute)
	case unix.EHOSTUNREACH:
		n.reject(f, unsent, packet.ICMPHostUnreachable, packet.ICMPv6AddressUnreachable)
	case unix.EACCES: // a route prohibits it
		n.reject(f, unsent, packet.ICMPProhibited, packet.ICMPv6Prohibited)
	case unix.EMSGSIZE:
		n.rejectTooBig(f, routes.MTU(target))
	default:
		n.router.LocalFailure(errno)
	}
}

// reject answers a frame with an ICMP error "destination unreachable" from its destination. The
// codes are those of each family.
func (n *NAT) reject(f *gso.Frame, unsent *tunflow.Datagram, code4, code6 uint8) {
	typ, code := uint8(packet.ICMPUnreachable), code4
	if f.V6() {
		typ, code = packet.ICMPv6Unreachable, code6
	}
	n.answer(f, unsent, typ, code, 0)
}

// rejectTooBig answers a frame that is longer than the path takes and may not be fragmented with
// the path's MTU (RFC 1191 §4, RFC 4443 §3.2).
func (n *NAT) rejectTooBig(f *gso.Frame, mtu packet.MTU) {
	if mtu == 0 || mtu > 0xffff {
		return
	}
	typ, code := uint8(packet.ICMPUnreachable), uint8(packet.ICMPFragmentationNeeded)
	if f.V6() {
		typ, code = packet.ICMPv6PacketTooBig, 0
	}
	n.answer(f, nil, typ, code, uint32(mtu))
}

// answer writes an ICMP error in answer to a frame. Where unsent, the first datagram of a flow on
// record, is not nil, BeforeAnswer may hold it back.
func (n *NAT) answer(f *gso.Frame, unsent *tunflow.Datagram, typ, code uint8, rest uint32) {
	from := f.Headers.Dst(f.Head)
	message := packet.ICMPError(&f.Headers, f.Head, from, typ, code, rest)
	n.answerBefore(unsent, func() { n.router.WriteICMPError(message) })
}

// answerBefore calls answer when the client of a flow may have it; unsent may be nil.
func (n *NAT) answerBefore(unsent *tunflow.Datagram, answer func()) {
	if unsent == nil || n.o.BeforeAnswer == nil || n.waiting.Load() >= maxWaiting {
		answer()
		return
	}
	n.waiting.Add(1)
	n.o.BeforeAnswer(unsent, func() {
		n.waiting.Add(-1)
		answer()
	})
}

// maxWaiting is the largest number of answers that wait for BeforeAnswer; further ones are sent at
// once.
const maxWaiting = 1024

// refused counts a frame whose flow may not begin now, and answers it unless a later attempt may
// succeed.
func (n *NAT) refused(f *gso.Frame, a tunflow.Admission) {
	if a == tunflow.Refuse {
		f.Drop(&n.stats.DropRefused)
		n.reject(f, nil, packet.ICMPProhibited, packet.ICMPv6Prohibited)
		return
	}
	f.Drop(&n.stats.DropWaiting)
}
