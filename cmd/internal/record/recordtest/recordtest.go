// Package recordtest has records for the tests of those who write and read them.
package recordtest

import (
	"encoding/binary"
	"net/netip"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
)

// Start is when the attempts begin.
var Start = time.Date(2026, 11, 23, 7, 50, 0, 123456789, time.UTC)

const (
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// packet4 is an IPv4 packet with a TCP header and options, between 192.0.2.1:sport and
// 198.51.100.2:80.
func packet4(outbound bool, sport uint16, seq, ack uint32, flags byte, options ...byte) tcpdump.Packet {
	client, server := netip.MustParseAddr("192.0.2.1").As4(), netip.MustParseAddr("198.51.100.2").As4()
	length := 40 + len(options)
	b := []byte{0x45, 0, 0, byte(length), 0, 1, 0x40, 0, 64, 6, 0, 0}
	ports := [2]uint16{sport, 80}
	if outbound {
		b = append(append(b, client[:]...), server[:]...)
	} else {
		b = append(append(b, server[:]...), client[:]...)
		ports = [2]uint16{80, sport}
	}
	b = binary.BigEndian.AppendUint16(b, ports[0])
	b = binary.BigEndian.AppendUint16(b, ports[1])
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, byte(5+len(options)/4)<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	b = append(b, options...)
	return tcpdump.Packet{Data: b, Length: length}
}

// Handshake returns the record of an ordinary open, whose client has port sport and began at t.
func Handshake(sport uint16, t time.Time) *handshake.Record {
	mss, mssServer := uint16(1460), uint16(1400)
	wscale, stamp := uint8(7), uint32(4294967295)
	return &handshake.Record{
		Time:      t,
		Outcome:   handshake.Established,
		Client:    netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), sport),
		Server:    netip.MustParseAddrPort("198.51.100.2:80"),
		ClientISN: 4255483971, ServerISN: 4279842714,
		SYN:         handshake.Offer{Window: 65535, MSS: &mss, WScale: &wscale, SACKOK: true, Timestamp: &stamp, DF: true, TTL: 64},
		SYNACK:      &handshake.Offer{Window: 65535, MSS: &mssServer, DF: true, TTL: 64, ECN: true},
		SYNACKDelay: 862 * time.Microsecond, ACKDelay: 41999 * time.Nanosecond,
		Segments: []handshake.Segment{
			{Time: t, FromClient: true, TCP: 20, Packet: packet4(true, sport, 4255483971, 0, flagSYN, 2, 4, 5, 180)},
			{Time: t.Add(862 * time.Microsecond), TCP: 20, Packet: packet4(false, sport, 4279842714, 4255483972, flagSYN|flagACK)},
			{Time: t.Add(904 * time.Microsecond), FromClient: true, TCP: 20, Packet: packet4(true, sport, 4255483972, 4279842715, flagACK)},
		},
	}
}

// Refused returns the record of an attempt over IPv6 that a RST ended.
func Refused() *handshake.Record {
	return &handshake.Record{
		Time: Start, Outcome: handshake.Refused,
		Client: netip.MustParseAddrPort("[2001:db8::1]:1051"), Server: netip.MustParseAddrPort("[2001:db8:1::2]:443"),
		SYN: handshake.Offer{Window: 64800, TTL: 63}, SYNRetransmits: 1,
		SYNACKDelay: -1, ACKDelay: -1,
	}
}
