package capture

import "encoding/binary"

// decodeWithin takes a frame of another link type behind a header of some bytes. The type is the
// DLT number of the system that has captured.
func (p *Packet) decodeWithin(dlt, header uint32) {
	if uint64(header) > uint64(len(p.Frame)) {
		return
	}
	offset := int(header)
	switch LinkType(min(dlt, 1<<16-1)) {
	case LinkTypeEthernet:
		p.decodeEthernet(offset)
	case LinkTypeNull, LinkTypeLoop:
		p.decodeLoop(offset)
	case LinkTypePPP:
		p.decodePPP(offset)
	case LinkTypeRaw, LinkTypeRaw12, LinkTypeRaw14:
		p.setNetwork(0, offset)
	case LinkTypeWiFi:
		p.decodeWiFi(offset, 0)
	default:
		p.unread = "frames of another link type in PPI or PKTAP"
	}
}

// decodeFDDI takes a frame whose header, a byte and two addresses, LLC follows.
func (p *Packet) decodeFDDI() {
	const header, mask, async = 13, 0xf0, 0x50
	if f := p.Frame; len(f) >= header+8 && f[0]&mask == async && string(f[header:header+6]) == llcSNAP {
		p.decodeEtherType(binary.BigEndian.Uint16(f[header+6:]), header+8)
	}
}

// Network layer protocols in Frame Relay (RFC 2427 §4.1, ISO/IEC TR 9577).
const (
	nlpidSNAP = 0x80
	nlpidIPv6 = 0x8e
	nlpidIPv4 = 0xcc
)

// decodeFrameRelay takes an address, whose last byte is odd (Q.922 §3.2), and what follows: an
// EtherType in Cisco's form, or the number of a protocol (RFC 2427 §3).
func (p *Packet) decodeFrameRelay() {
	const unnumbered, padding, maxAddress = 0x03, 0x00, 4
	f, at := p.Frame, 2
	for len(f) > at && f[at-1]&1 == 0 {
		if at++; at > maxAddress {
			return
		}
	}
	switch {
	case len(f) < at+2 || f[0]&1 != 0:
		return
	case f[at] != unnumbered && f[at+1] != unnumbered:
		p.decodeEtherType(binary.BigEndian.Uint16(f[at:]), at+2)
		return
	case f[at] != unnumbered:
		return
	}
	address := at
	if at++; f[at] == padding {
		at++
	}
	// tcpdump holds padding for the mark of an address of 3 bytes.
	switch padded := at == address+2; {
	case padded && address != 3:
		p.linkText = "Pad! "
	case !padded && address == 3:
		p.linkText = "No pad! "
	}
	if len(f) <= at {
		return
	}
	switch f[at] {
	case nlpidIPv4:
		p.setNetwork(etherTypeIPv4, at+1)
	case nlpidIPv6:
		p.setNetwork(etherTypeIPv6, at+1)
	case nlpidSNAP:
		if len(f) >= at+6 && string(f[at+1:at+4]) == llcSNAP[3:] {
			p.decodeEtherType(binary.BigEndian.Uint16(f[at+4:]), at+6)
		}
	}
}
