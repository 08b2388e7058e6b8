//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"

	"syntap/stack/nat/gso"
	"syntap/stack/nat/mappings"
	"syntap/tun"
	"syntap/tun/packet"
)

// Echo carries an echo request of a client; only the far end answers it. Other ICMP messages are
// dropped: they concern the link alone, or are errors that change nothing (RFC 5927 §6).
func (n *NAT) Echo(in *tun.Frame, reassembled bool) {
	f := &gso.Frame{Frame: in, Reassembled: reassembled}
	request := f.Head[f.Headers.Offset:]
	if len(request) < packet.ICMPHeaderLen {
		n.stats.DropMalformed.Add(1)
		return
	}
	typ := uint8(packet.ICMPEchoRequest)
	if f.V6() {
		typ = packet.ICMPv6EchoRequest
	}
	if request[0] != typ || request[1] != 0 {
		n.stats.DropICMP.Add(1)
		return
	}
	client := netip.AddrPortFrom(f.Headers.Src(f.Head), echoIdent(request))
	n.carry(f, mappings.Echo(client), netip.AddrPortFrom(f.Headers.Dst(f.Head), 0))
}

// echo brings a client an echo reply in a part of buf that a far end has just sent.
func (r *replies) echo(m *mapping, at, end int, from netip.Addr) {
	typ := uint8(packet.ICMPEchoReply)
	if m.V6 {
		typ = packet.ICMPv6EchoReply
	}
	if at+packet.ICMPHeaderLen > end || r.buf[at] != typ || echoIdent(r.buf[at:]) != m.Own.Port() {
		return // it arrived before the raw socket had its filter
	}
	r.nat.table.Heard(&m.Entry, 1, r.now)
	if m.nat.recorder != nil {
		m.flows.Heard(netip.AddrPortFrom(from, 0), 1, end-at-packet.ICMPHeaderLen, r.now)
	}
	client, proto := m.Client, icmpProto(m.V6)
	b, reply := r.buf[at-packet.HeaderLen(from):end], r.buf[at:end]
	r.putIP(b, from, client.Addr(), proto, r.msg.Marks)
	binary.BigEndian.PutUint16(reply[4:], client.Port())
	binary.BigEndian.PutUint16(reply[2:], 0)
	sum := packet.TransportChecksum(proto, from, client.Addr(), reply)
	binary.BigEndian.PutUint16(reply[2:], sum)
	m.noteLarge(netip.AddrPortFrom(from, 0), len(b))
	r.writeWhole(b, client.Addr())
}

func icmpProto(v6 bool) uint8 {
	if v6 {
		return packet.ProtoICMPv6
	}
	return packet.ProtoICMP
}

// echoIdent returns the identifier of an echo message.
func echoIdent(message []byte) uint16 { return binary.BigEndian.Uint16(message[4:]) }

// setEchoIdent changes the identifier of an echo message, and its checksum with it.
func setEchoIdent(message []byte, ident uint16) {
	sum := binary.BigEndian.Uint16(message[2:])
	sum = packet.UpdateChecksum(sum, echoIdent(message), ident)
	binary.BigEndian.PutUint16(message[2:], sum)
	binary.BigEndian.PutUint16(message[4:], ident)
}
