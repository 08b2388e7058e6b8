//go:build linux

package sent

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"syntap/tun/flow"
)

// packet is the head of one that the router has sent.
type packet struct {
	proto         flow.Proto
	local, remote netip.AddrPort // of ICMP with the port 0
	whole         bool           // it is one that a router sends, by its headers

	// Of TCP.
	syn  bool
	isn  uint32 // where syn is set
	data bool
}

// snaplen is how many bytes of a packet are needed: an IP header with options, and the TCP header
// without.
const snaplen = 60 + 20

// parse reads the head of a packet, from its IP header on. ok is false where it says no
// destination. A router sends neither fragments nor, by itself, extension headers.
func parse(b []byte) (p packet, ok bool) {
	var at, length int
	var transport byte
	var local, remote netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		at, transport = int(b[0]&0xf)*4, b[9]
		length = int(binary.BigEndian.Uint16(b[2:])) - at
		local, _ = netip.AddrFromSlice(b[12:16])
		remote, _ = netip.AddrFromSlice(b[16:20])
	case len(b) >= 40 && b[0]>>4 == 6:
		at, transport = 40, b[6]
		length = int(binary.BigEndian.Uint16(b[4:]))
		local, _ = netip.AddrFromSlice(b[8:24])
		remote, _ = netip.AddrFromSlice(b[24:40])
		if transport == unix.IPPROTO_HOPOPTS && len(b) > 41 { // of the kernel, beyond 64 KiB (RFC 2675)
			header := 8 * (1 + int(b[41]))
			transport, at, length = b[40], at+header, length-header
		}
	default:
		return p, false
	}
	p.local, p.remote = netip.AddrPortFrom(local, 0), netip.AddrPortFrom(remote, 0)
	b = b[min(at, len(b)):]
	switch {
	case transport == unix.IPPROTO_TCP && len(b) >= 20:
		const fin, syn = 1, 2
		p.syn, p.isn = b[13]&syn != 0, binary.BigEndian.Uint32(b[4:])
		p.data = length != int(b[12]>>4)*4 // of a packet beyond 64 KiB the length is 0
	case transport == unix.IPPROTO_UDP && len(b) >= 8:
		p.proto = flow.UDP
	case transport == unix.IPPROTO_ICMP && len(b) >= 8:
		p.proto, p.whole = flow.ICMP, b[0] == echoRequest4
		return p, true
	case transport == unix.IPPROTO_ICMPV6 && len(b) >= 8:
		p.proto, p.whole = flow.ICMP, b[0] == echoRequest6
		return p, true
	default:
		p.proto = flow.ICMP
		return p, true
	}
	p.local = netip.AddrPortFrom(local, binary.BigEndian.Uint16(b))
	p.remote = netip.AddrPortFrom(remote, binary.BigEndian.Uint16(b[2:]))
	p.whole = true
	return p, true
}

// Types of echo requests (RFC 792, RFC 4443 §4.1).
const (
	echoRequest4 = 8
	echoRequest6 = 128
)
