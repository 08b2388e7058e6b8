package policy

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"syntap/tun/packet"
)

// Verdict says what is to become of a packet.
type Verdict uint8

// The verdicts.
const (
	Pass   Verdict = iota
	Drop           // drop it
	TooBig         // drop it and answer with ICMP "fragmentation needed", which carries the MTU
)

// Rewrite is one change that a rule has made to a packet. The zero value is none.
type Rewrite struct {
	What     string // "mss" or "df"
	From, To int    // bytes, From being None where the option was missing; of the DF bit 0 or 1
	Rule     int    // number of the rule, from 1
}

// None is what the MSS was rewritten from where a rule has added the option.
const None = -1

// Words returns From and To for people.
func (r Rewrite) Words() (from, to string) {
	word := func(v int) string {
		switch {
		case v == None:
			return "none"
		case r.What == "mss":
			return strconv.Itoa(v)
		case v == 0:
			return "clear"
		}
		return "set"
	}
	return word(r.From), word(r.To)
}

// ends returns client and server of the IP packet b that goes in direction d. Its ports stand at
// offset ports; 0 = it has none.
func ends(b []byte, ports int, d Direction) (client, server netip.AddrPort) {
	var src, dst netip.Addr
	if b[0]>>4 == 4 {
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	} else {
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	}
	var srcPort, dstPort uint16
	if ports > 0 {
		srcPort, dstPort = binary.BigEndian.Uint16(b[ports:]), binary.BigEndian.Uint16(b[ports+2:])
	}
	client, server = netip.AddrPortFrom(src, srcPort), netip.AddrPortFrom(dst, dstPort)
	if d == Inbound {
		client, server = server, client
	}
	return client, server
}

// putIPv4 changes the 16-bit word at an offset of an IPv4 header, and the header's checksum with
// it.
func putIPv4(b []byte, at int, v uint16) {
	const checksum = 10
	be := binary.BigEndian
	be.PutUint16(b[checksum:], packet.UpdateChecksum(be.Uint16(b[checksum:]), be.Uint16(b[at:]), v))
	be.PutUint16(b[at:], v)
}
