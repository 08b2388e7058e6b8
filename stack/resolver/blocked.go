package resolver

import (
	"encoding/binary"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	blocked     = 15 // RFC 8914 §4.16
	blockedText = "no rule allows this name"
)

// Blocked returns the response to a query for a name that policy forbids: NXDOMAIN and, if the
// query has EDNS, the extended error Blocked (RFC 8914). With REFUSED, clients would ask the next
// resolver. There is no SOA record, so that no cache keeps the response (RFC 2308 §5). It returns
// nil for a message that is not a query with one question.
func Blocked(query []byte) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response || h.OpCode != 0 || binary.BigEndian.Uint16(query[4:]) != 1 {
		return nil
	}
	end := questionEnd(query)
	if end == 0 {
		return nil
	}
	const (
		response, rd = 0x80, 0x01 // of the third byte
		ra, cd       = 0x80, 0x10 // of the fourth
	)
	b := append(make([]byte, 0, end+64), query[:end]...)
	b[2] = response | query[2]&rd
	b[3] = ra | query[3]&cd | byte(dnsmessage.RCodeNameError)
	clear(b[6:headerLen])
	if opt, ok := findOPT(&p); ok {
		b[11] = 1
		b = appendOPT(b, opt.DNSSECAllowed())
	}
	return b
}

// questionEnd returns the offset behind the only question of a message, whose name is not
// compressed; 0 for another message.
func questionEnd(m []byte) int {
	for i := headerLen; i < len(m) && m[i] < 0x40; i += int(m[i]) + 1 {
		if m[i] == 0 && i+5 <= len(m) {
			return i + 5
		}
	}
	return 0
}

// appendOPT appends the pseudo-record of EDNS with the extended error.
func appendOPT(b []byte, dnssec bool) []byte {
	be := binary.BigEndian
	b = append(b, 0) // the root
	b = be.AppendUint16(b, uint16(dnsmessage.TypeOPT))
	b = be.AppendUint16(b, payloadSize)
	var flags uint32
	if dnssec {
		flags = 1 << 15
	}
	b = be.AppendUint32(b, flags)
	const size = uint16(2 + len(blockedText))
	b = be.AppendUint16(b, 4+size)
	b = be.AppendUint16(b, optionEDE)
	b = be.AppendUint16(b, size)
	b = be.AppendUint16(b, blocked)
	return append(b, blockedText...)
}
