package capture

import "encoding/binary"

// decodePPPoE takes a PPPoE header (RFC 2516 §4). Its length field counts, whatever padding the
// frame has.
func (p *Packet) decodePPPoE(offset int) {
	const header = 6
	f := p.Frame
	if len(f) < offset+header {
		return
	}
	p.pppoe, p.session = true, binary.BigEndian.Uint16(f[offset+2:])
	if code := f[offset+1]; code != 0 { // of the discovery stage
		return
	}
	p.lengthAt = offset + 4
	length := int(binary.BigEndian.Uint16(f[p.lengthAt:]))
	p.decodePPP(offset + header)
	p.pppLength = length
	if p.Network != nil {
		p.NetworkLength = max(0, length-(len(p.Frame)-len(p.Network)-offset-header))
	}
}

// decodePPP reads a PPP header: the HDLC address and control bytes where they are there (RFC 1662
// §3.1), and a protocol field that may be compressed to one byte (RFC 1661 §2 and §6.5).
func (p *Packet) decodePPP(offset int) {
	p.pppLength = p.FrameLength - offset
	f := p.Frame
	if len(f) >= offset+2 && f[offset+1] == 0x03 {
		switch f[offset] {
		case 0xff, 0x00, 0x01: // the latter two: pppd's direction
			offset += 2
		}
	}
	if len(f) < offset+2 {
		return
	}
	protocol := uint16(f[offset])
	offset++
	if protocol&1 == 0 { // only the last byte of the field is odd
		protocol = protocol<<8 | uint16(f[offset])
		offset++
	}
	p.decodePPPProtocol(protocol, offset)
}

func (p *Packet) decodePPPProtocol(protocol uint16, offset int) {
	switch protocol {
	case pppIPv4:
		p.setNetwork(etherTypeIPv4, offset)
	case pppIPv6:
		p.setNetwork(etherTypeIPv6, offset)
	case pppMPLS, pppMPLSMC:
		p.decodeMPLS(offset)
	}
}

// decodePPPHDLC takes a frame whose address byte tells PPP (RFC 1662 §3.1) from Cisco's framing
// (RFC 1547 §4.3.1).
func (p *Packet) decodePPPHDLC() {
	const ppp, unicast, broadcast = 0xff, 0x0f, 0x8f
	f := p.Frame
	if len(f) < 4 {
		return
	}
	switch f[0] {
	case ppp:
		p.pppProtocol = binary.BigEndian.Uint16(f[2:])
		p.decodePPPProtocol(p.pppProtocol, 4)
	case unicast, broadcast:
		p.decodeCHDLC()
	}
}

// decodeCHDLC takes Cisco's framing, whose protocol field is an EtherType.
func (p *Packet) decodeCHDLC() {
	if len(p.Frame) < 4 {
		return
	}
	switch etherType := binary.BigEndian.Uint16(p.Frame[2:]); etherType {
	case etherTypeIPv4, etherTypeIPv6, etherTypeMPLS, etherTypeMPLSMC:
		p.decodeEtherType(etherType, 4)
	}
}
