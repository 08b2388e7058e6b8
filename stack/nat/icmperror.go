//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/rawecho"
	"syntap/tun/packet"
)

// maxErrors bounds the ICMP errors that one call relays.
const maxErrors = 64

// relayErrors relays the ICMP errors that the host socket has queued, as answers to the client's
// packets.
func (m *mapping) relayErrors() {
	if m.raw != nil {
		m.nat.relayRawErrors(m.raw)
		return
	}
	var msg hostsock.Msghdr
	quoted := make([]byte, packet.MaxICMPv6Error)
	for range maxErrors {
		n, errno := m.Receive(&msg, quoted, unix.MSG_ERRQUEUE)
		if errno != 0 {
			return
		}
		m.relayError(&msg, quoted[:n])
	}
}

// relayRawErrors relays the ICMP errors that a raw socket has queued. They concern the requests of
// all mappings, and messages of other programs.
func (n *NAT) relayRawErrors(s *rawecho.Socket) {
	var msg hostsock.Msghdr
	request := byte(packet.ICMPEchoRequest)
	if s.V6 {
		request = packet.ICMPv6EchoRequest
	}
	quoted := make([]byte, packet.MaxICMPv6Error)
	for range maxErrors {
		n, errno := s.Receive(&msg, quoted, unix.MSG_ERRQUEUE)
		if errno != 0 {
			return
		}
		if n < packet.ICMPHeaderLen || quoted[0] != request {
			continue
		}
		if m, ok := s.Of(echoIdent(quoted)).(*mapping); ok {
			m.relayError(&msg, quoted[:n])
		}
	}
}

// relayError relays the error in msg, if it is from the network.
func (m *mapping) relayError(msg *hostsock.Msghdr, quoted []byte) {
	e, ok := msg.Report(m.V6)
	if !ok {
		return
	}
	if b := m.translateError(&e, m.far(msg), quoted); b != nil {
		m.nat.router.WriteICMPError(b)
	}
}

// translateError returns the ICMP error that the client would have got without a router, or nil. It
// is about a message to peer; quoted is the part of the UDP payload or of the echo request that the
// error quotes.
func (m *mapping) translateError(e *hostsock.Report, peer netip.AddrPort, quoted []byte) []byte {
	if m.Client.Echo {
		if len(quoted) < packet.ICMPHeaderLen {
			return nil
		}
	}
	server, named := m.nameOf(peer)
	if named && e.Errno != unix.EMSGSIZE {
		m.nat.dialer.Unreachable(server.Addr(), peer.Addr())
	}
	if m.nat.recorder != nil {
		m.refused(server, e, quoted)
	}
	v6 := m.Client.Addr().Is6()
	typ, code, ok := e.ForClient(v6)
	if !ok || server.Addr().Is6() != v6 {
		return nil
	}
	if e.From == peer.Addr() || e.From.Is6() != v6 {
		e.From = server.Addr()
	}
	b := m.clientSent(server, quoted)
	var h packet.Headers
	h.Parse(b, len(b))
	return packet.RelayedICMPError(&h, b, e.From, e.Marks, typ, code, e.MTU)
}

// clientSent returns the packet in which the client sent a message to server, as far as it is
// known: the error queue has neither its marks nor the UDP checksum.
func (m *mapping) clientSent(server netip.AddrPort, message []byte) []byte {
	client, proto, headerLen := m.Client, uint8(packet.ProtoUDP), packet.UDPHeaderLen
	if client.Echo {
		proto, headerLen = icmpProto(m.V6), 0 // the message has it
	}
	ipLen := packet.HeaderLen(client.Addr())
	b := make([]byte, ipLen+headerLen+len(message))
	ip := packet.IP{
		Src: client.Addr(), Dst: server.Addr(), Proto: proto,
		HopLimit: packet.DefaultHopLimit, DF: true,
	}
	ip.Put(b)
	t := b[ipLen:]
	copy(t[headerLen:], message)
	if client.Echo {
		setEchoIdent(t, client.Port())
	} else {
		putUDP(t, client.AddrPort, server)
	}
	return b
}

// putUDP writes the header of the UDP message that b holds, without a checksum.
func putUDP(b []byte, from, to netip.AddrPort) {
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
}
