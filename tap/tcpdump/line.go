package tcpdump

import (
	"net/netip"
	"strconv"
)

// Ethertypes (IANA).
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd

	etherBridged = 0x6558 // an Ethernet frame, in GRE
)

// maxLine bounds a line in bytes, leaving room for a time stamp within 2 KiB. No ordinary segment
// comes near it: it ends header chains and nested tunnels that were made to be long.
const maxLine = 2000

// Append appends the line that tcpdump -n -S -t prints for p, without a newline.
func Append(dst []byte, d Dialect, p *Packet) []byte {
	l := line{b: dst, start: len(dst), d: d}
	l.packet(p)
	return l.b
}

// IsTCP reports whether the line of p in dialect d is that of a TCP segment: written by tcpdump's
// TCP printer, however truncated or malformed the segment is, or noting a fragment of one. A header
// so broken that tcpdump never comes to look for TCP ("bad-hlen 16", "IP bad-len 0", "[|ip]") makes
// no such line.
func IsTCP(d Dialect, p *Packet) bool {
	l := line{d: d}
	l.packet(p)
	return l.tcp
}

// line is a line while it is written. The methods named after a protocol take the captured bytes
// from that protocol's header to the end of the capture, and the length that the layer below
// announced.
type line struct {
	b     []byte
	start int // where the line begins in b
	d     Dialect
	convs *conversations // nil: absolute sequence numbers
	tcp   bool           // the TCP printer was reached
}

func (l *line) packet(p *Packet) {
	l.prefix(p)
	b, n := p.Data, uint32(p.Length)
	switch {
	case p.Length == 0:
		n = uint32(len(b))
	case p.Length < len(b) && l.d == Classic: // PPPoE ends before the frame
		b = b[:p.Length]
	}
	switch p.EtherType {
	case etherIPv4:
		l.ip4(b, n)
	case etherIPv6:
		l.ip6(b, n)
	default:
		l.ip(b, n)
	}
	l.b = l.b[:min(len(l.b), l.start+maxLine)]
}

// prefix writes the link layer's part. Only Classic shows VLAN tags.
func (l *line) prefix(p *Packet) {
	if l.d == Classic {
		for _, tci := range p.VLANs {
			l.text("802.1Q vlan#").dec(uint32(tci & 0xfff)).text(" P").dec(uint32(tci >> 13))
			if tci&0x1000 != 0 {
				l.text(" CFI")
			}
			l.text(" ")
		}
	}
	for _, c := range []byte(p.Prefix[l.d]) {
		if c < ' ' || c > '~' {
			c = '?'
		}
		l.b = append(l.b, c)
	}
}

// ip tells the version of a packet by itself.
func (l *line) ip(b []byte, n uint32) {
	switch {
	case len(b) == 0:
		l.words("[|ip]", " [|ip]")
	case b[0]>>4 == 4:
		l.ip4(b, n)
	case b[0]>>4 == 6:
		l.ip6(b, n)
	default:
		l.text("unknown ip ").dec(uint32(b[0] >> 4))
	}
}

// full reports whether the line has reached its limit.
func (l *line) full() bool { return len(l.b)-l.start >= maxLine }

func (l *line) text(s string) *line {
	l.b = append(l.b, s...)
	return l
}

// words writes the words of the dialect.
func (l *line) words(classic, modern string) *line {
	if l.d == Classic {
		return l.text(classic)
	}
	return l.text(modern)
}

func (l *line) dec(v uint32) *line {
	l.b = strconv.AppendUint(l.b, uint64(v), 10)
	return l
}

func (l *line) hex(v uint64) *line {
	l.b = strconv.AppendUint(l.b, v, 16)
	return l
}

// octets writes two digits for each byte.
func (l *line) octets(b []byte) *line {
	const digits = "0123456789abcdef"
	for _, c := range b {
		l.b = append(l.b, digits[c>>4], digits[c&15])
	}
	return l
}

// addr4 writes the IPv4 address at the start of b.
func (l *line) addr4(b []byte) *line {
	l.b = netip.AddrFrom4([4]byte(b)).AppendTo(l.b)
	return l
}

// addr6 writes the IPv6 address at the start of b as RFC 5952 has it, but any address with 96
// leading zero bits ends in dotted form as inet_ntop(3) writes it, "::0.1.0.2", unless its seventh
// group is zero too.
func (l *line) addr6(b []byte) *line {
	a := [16]byte(b)
	if [12]byte(a[:]) == [12]byte{} && a[12]|a[13] != 0 {
		return l.text("::").addr4(a[12:])
	}
	l.b = netip.AddrFrom16(a).AppendTo(l.b)
	return l
}
