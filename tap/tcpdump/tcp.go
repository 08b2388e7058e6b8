package tcpdump

import (
	"encoding/binary"
	"net/netip"
)

// Control bits (RFC 9293 §3.1, RFC 3168 §6.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
	flagURG
	flagECE
	flagCWR
)

// letters are the flags in the order of each dialect. Classic does not write ACK and URG, which
// have fields of their own.
var letters = [...][]struct {
	flag   uint8
	letter byte
}{
	Classic: {{flagSYN, 'S'}, {flagFIN, 'F'}, {flagRST, 'R'}, {flagPSH, 'P'}, {flagCWR, 'W'}, {flagECE, 'E'}},
	Modern: {
		{flagFIN, 'F'},
		{flagSYN, 'S'},
		{flagRST, 'R'},
		{flagPSH, 'P'},
		{flagACK, '.'},
		{flagURG, 'U'},
		{flagECE, 'E'},
		{flagCWR, 'W'},
	},
}

// headerTCP is the length of a TCP header without options (RFC 9293 §3.1).
const headerTCP = 20

// segment writes the TCP segment b in the packet ip.
func (l *line) segment(ip, b []byte, n uint32) {
	l.tcp = true
	v6 := ip[0]>>4 == 6 // Classic may have come by an IPv4 header that says so
	if len(b) < 4 {
		l.noPorts(ip, v6)
		return
	}
	l.endpoints(ip, b, v6)
	if len(b) < headerTCP {
		l.words("[|tcp]", " [|tcp]")
		return
	}
	header := uint32(b[12]>>4) * 4
	if header < headerTCP && l.d == Modern {
		l.text(" tcp ").dec(n - header).text(" [bad hdr length ").dec(header).text(" - too short, < 20]")
		return
	}
	flags := b[13]
	l.flags(flags)

	seq, ack, peer := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), uint32(0)
	if l.convs != nil && flags&flagACK != 0 {
		src, dst := tuple(ip, b)
		seq, ack, peer = l.convs.relative(src, dst, flags&flagSYN != 0, seq, ack)
	}
	if header > n {
		l.text(" [bad hdr length")
		if l.d == Modern {
			l.text(" ").dec(header).text(" - too long, > ").dec(n)
		}
		l.text("]")
		return
	}
	n -= header
	if n > 0 || flags&(flagSYN|flagFIN|flagRST) != 0 {
		l.sequence(seq, n)
	}
	if flags&flagACK != 0 {
		l.words(" ack ", ", ack ").dec(ack)
	}
	l.words(" win ", ", win ").dec(uint32(binary.BigEndian.Uint16(b[14:])))
	if flags&flagURG != 0 {
		l.words(" urg ", ", urg ").dec(uint32(binary.BigEndian.Uint16(b[18:])))
	}
	o := options{
		rest: b[headerTCP:], left: int(header) - headerTCP,
		flags: flags, whole: uint64(len(b)) >= uint64(header)+uint64(n),
		peer: peer, proto: "tcp",
	}
	if o.left > 0 && !l.options(&o) {
		return
	}
	if l.d == Modern {
		l.text(", length ").dec(n)
		if n > 0 && len(b) < int(header) {
			l.shortHeader(b, header).text(" [|").text(o.proto).text("]")
		}
	}
}

// noPorts writes a segment without its first 4 bytes.
func (l *line) noPorts(ip []byte, v6 bool) {
	if v6 && l.d == Modern {
		l.addrs6(ip)
	} else {
		l.addrs4(ip) // Classic: even of an IPv6 header
	}
	l.text(": [|tcp]")
}

// endpoints writes the ports, and in front of each its address unless the line has the addresses
// already.
func (l *line) endpoints(ip, b []byte, v6 bool) {
	sport, dport := uint32(binary.BigEndian.Uint16(b)), uint32(binary.BigEndian.Uint16(b[2:]))
	switch {
	case v6 && ip[6] == protoTCP:
		l.addr6(ip[8:24]).text(".").dec(sport).text(" > ").addr6(ip[24:40]).text(".")
	case !v6 && ip[9] == protoTCP:
		l.addr4(ip[12:16]).text(".").dec(sport).text(" > ").addr4(ip[16:20]).text(".")
	default:
		l.dec(sport).text(" > ")
	}
	l.dec(dport).text(": ")
}

func (l *line) flags(flags uint8) {
	l.words("", "Flags [")
	none := true
	for _, f := range letters[l.d] {
		if flags&f.flag != 0 {
			l.b = append(l.b, f.letter)
			none = false
		}
	}
	if none {
		l.words(".", "none")
	}
	l.words("", "]")
}

// sequence writes the range of n bytes. The SYN and FIN octets are not counted.
func (l *line) sequence(seq, n uint32) {
	if l.d == Classic {
		l.text(" ").dec(seq).text(":").dec(seq + n).text("(").dec(n).text(")")
		return
	}
	l.text(", seq ").dec(seq)
	if n > 0 {
		l.text(":").dec(seq + n)
	}
}

// tuple returns the endpoints of a segment.
func tuple(ip, b []byte) (src, dst netip.AddrPort) {
	sport, dport := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if ip[0]>>4 == 6 && len(ip) >= header6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(ip[8:])), sport),
			netip.AddrPortFrom(netip.AddrFrom16([16]byte(ip[24:])), dport)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:])), sport),
		netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:])), dport)
}
