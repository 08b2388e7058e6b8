package tap

import (
	"encoding/binary"
	"time"

	"syntap/tap/tcpdump"
)

// ICMP error types (RFC 792, RFC 4443).
const (
	icmpUnreachable         = 3
	icmpFragmentationNeeded = 4 // a code of the type above
	icmpv6Unreachable       = 1
	icmpv6PacketTooBig      = 2
	icmpv6Informational     = 128 // the first type that is no error
)

// icmpError returns type and code of an ICMP error, which quotes the packet it is about eight bytes
// further on.
func (ip *ipHeader) icmpError(b []byte) (typ, code uint8, quote []byte, ok bool) {
	if !ip.upper || len(b) < ip.offset+8 {
		return 0, 0, nil, false
	}
	typ, code, quote = b[ip.offset], b[ip.offset+1], b[ip.offset+8:]
	switch ip.proto {
	case protoICMP:
		switch typ {
		case icmpUnreachable, 4, 5, 11, 12: // and source quench, redirect, time exceeded, parameter problem
			ok = true
		}
	case protoICMPv6:
		ok = typ < icmpv6Informational
	}
	return typ, code, quote, ok
}

// aboutTCP reports whether an ICMP error quotes TCP, or may do so where it cannot be read. One
// about the size of a packet is left to the router, which knows what it has sent, unless it could
// get to netstack by itself.
func (ip *ipHeader) aboutTCP(b []byte) bool {
	typ, code, quote, ok := ip.icmpError(b)
	switch {
	case !ok:
		return false
	case ip.fragment:
	case ip.proto == protoICMP && typ == icmpUnreachable && code == icmpFragmentationNeeded,
		ip.proto == protoICMPv6 && typ == icmpv6PacketTooBig && ip.offset == 40:
		return false
	}
	var quoted ipHeader
	quoted.parse(quote, maxQuoted)
	return ip.fragment || quoted.proto == protoTCP || !quoted.upper
}

// maxQuoted is longer than any packet: a quote is cut, whatever its header says.
const maxQuoted = 1 << 17

// onICMP takes an ICMP error that may answer a SYN. Once the SYN-ACK has passed such an error is
// soft (RFC 1122 §4.2.3.9), and one that does not quote the SYN's number is a guess (RFC 5927 §4).
func (t *Tracker) onICMP(ip *ipHeader, b []byte, p *tcpdump.Packet, d direction, at time.Time) {
	typ, code, quote, ok := ip.icmpError(b)
	switch {
	case !ok,
		ip.proto == protoICMP && (typ != icmpUnreachable || code == icmpFragmentationNeeded),
		ip.proto == protoICMPv6 && typ != icmpv6Unreachable:
		return
	}
	var q segment
	q.ip.parse(quote, maxQuoted)
	if !q.ip.upper || q.ip.proto != protoTCP || len(quote) < q.ip.offset+8 {
		return
	}
	q.setKey(quote, binary.BigEndian.Uint32(quote[q.ip.offset:]), d)
	q.key.setVLANs(p)
	hash := t.hash(&q.key)
	sh := t.shard(hash)
	sh.mu.Lock()
	defer t.deliver(sh)
	f := sh.flows[q.key]
	if f == nil || f.class != opening || q.fromA != f.attempt.clientIsA ||
		binary.BigEndian.Uint32(quote[q.ip.offset+4:]) != f.attempt.iss {
		return
	}
	f.router = idle
	t.confirm(sh, f.attempt)
	t.finish(sh, f, Unreachable, at)
}
