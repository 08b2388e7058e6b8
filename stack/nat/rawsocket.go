//go:build linux

package nat

import (
	"golang.org/x/sys/unix"

	"syntap/stack/nat/gso"
	"syntap/stack/nat/rawecho"
	"syntap/tun/packet"
)

// readyRaw brings the clients of a raw socket the echo replies and ICMP errors that have come for
// them.
func (r *replies) readyRaw(s *rawecho.Socket, events uint32) {
	if events&unix.EPOLLERR != 0 {
		r.nat.relayRawErrors(s)
	}
	r.now = r.nat.table.Now()
	for range datagramsPerTurn {
		switch n, errno := s.Receive(&r.msg, r.buf[gso.Headroom:], 0); errno {
		case 0:
			r.receivedRaw(s, n)
		case unix.EAGAIN, unix.EBADF: // empty, or closed
			return
		default:
			r.nat.relayRawErrors(s)
		}
	}
	s.Use(r.nat.poller.Rearm)
}

// receivedRaw takes the n bytes that have just come for the client of one of the mappings.
func (r *replies) receivedRaw(s *rawecho.Socket, n int) {
	r.msg.ReadControl()
	r.nat.stats.DropReceiveQueue.Add(s.NewlyLost(r.msg.Lost))
	at, end := gso.Headroom, gso.Headroom+n
	if !s.V6 && n > 0 {
		at += int(r.buf[at]&15) * 4
	}
	if at+packet.ICMPHeaderLen > end {
		return
	}
	if m, ok := s.Of(echoIdent(r.buf[at:])).(*mapping); ok {
		r.receivedEcho(m, at, end)
	}
}
