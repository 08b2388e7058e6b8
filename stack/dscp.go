//go:build linux

package stack

import (
	"golang.org/x/sys/unix"
)

// dscpMask selects the DSCP in a traffic class. The other bits are ECN, which is separate for each
// leg (RFC 2474 §3, RFC 3168 §5).
const dscpMask = 0xfc

// dscpOf returns the differentiated services field of a packet, without ECN.
func dscpOf(packet []byte) byte {
	if packet[0]>>4 == 6 {
		return (packet[0]<<4 | packet[1]>>4) & dscpMask
	}
	return packet[1] & dscpMask
}

// setDSCP sets the DSCP of a socket's packets.
func setDSCP(fd int, v6 bool, dscp byte) {
	level, name := unix.IPPROTO_IP, unix.IP_TOS
	if v6 {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	_ = unix.SetsockoptInt(fd, level, name, int(dscp)) // every value is accepted
}

// followDSCP gives a connection's host socket the DSCP of the client's segment. The read loop calls
// it only if the segment or any connection has a DSCP.
func (s *Stack) followDSCP(key connKey, dscp byte) {
	if dscp == s.lastDSCP && key == s.lastMarked {
		return
	}
	home := s.home(key)
	home.mu.Lock()
	defer home.mu.Unlock()
	c := home.conns[key]
	if c == nil || c.fd < 0 || c.phase.Load() > established { // else the socket is not closed with mu held
		return
	}
	s.lastMarked, s.lastDSCP = key, dscp
	if c.dscp != dscp {
		setDSCP(c.fd, c.upstream.server.Addr().Is6(), dscp)
		s.noteDSCP(c, dscp)
	}
}

// noteDSCP keeps the DSCP of a client's segments. mu is held.
func (s *Stack) noteDSCP(c *conn, dscp byte) {
	if c.dscp != 0 {
		s.markedFlows.Add(-1)
	}
	if dscp != 0 {
		s.markedFlows.Add(1)
	}
	c.dscp = dscp
}
