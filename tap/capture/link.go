package capture

import (
	"encoding/binary"
	"math/bits"
)

// EtherTypes and PPP protocol numbers (IANA "IEEE 802 Numbers" and "PPP DLL Protocol Numbers").
const (
	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86dd

	etherType8021Q  = 0x8100
	etherType8021ad = 0x88a8
	etherType9100   = 0x9100 // QinQ before 802.1ad
	etherType9200   = 0x9200
	etherTypeMPLS   = 0x8847
	etherTypeMPLSMC = 0x8848 // multicast
	etherTypePPPoE  = 0x8864 // session stage

	pppIPv4   = 0x0021
	pppIPv6   = 0x0057
	pppMPLS   = 0x0281
	pppMPLSMC = 0x0283 // multicast
)

const (
	maxLength8023 = 1500                       // where a length stands for the EtherType
	llcSNAP       = "\xaa\xaa\x03\x00\x00\x00" // an EtherType follows (RFC 1042)
)

// mplsBottom marks the last entry of a label stack.
const mplsBottom = 0x100

// decodeLink takes the link header of p.Frame apart. A frame too short for it leaves p.Network
// empty.
func (p *Packet) decodeLink() error {
	p.EtherType, p.Network, p.NetworkLength, p.unread, p.linkText = 0, nil, 0, "", ""
	p.VLANs, p.labels = p.VLANs[:0], p.labels[:0]
	p.Part, p.msdu = false, 0
	p.pppoe, p.pppLength, p.pppProtocol, p.lengthAt, p.trailer = false, 0, 0, 0, 0

	f := p.Frame
	switch p.LinkType {
	case LinkTypeEthernet:
		p.decodeEthernet(0)
	case LinkTypeDSA, LinkTypeBRCM, LinkTypeBRCMFront:
		p.decodeEthernet(dsaLength)
	case LinkTypeEDSA:
		p.decodeEthernet(edsaLength)
	case LinkTypeRaw, LinkTypeRaw12, LinkTypeRaw14, LinkTypeIPv4, LinkTypeIPv6:
		// tcpdump looks at the nibble in all of them
		p.setNetwork(0, 0)
	case LinkTypeLinuxSLL:
		if len(f) >= 16 {
			p.decodeEtherType(binary.BigEndian.Uint16(f[14:]), 16)
		}
	case LinkTypeLinuxSLL2:
		if len(f) >= 20 {
			p.ifIndex, p.packetType = binary.BigEndian.Uint32(f[4:]), f[10]
			p.decodeEtherType(binary.BigEndian.Uint16(f), 20)
		}
	case LinkTypeNull, LinkTypeLoop:
		p.decodeLoop(0)
	case LinkTypeFDDI:
		p.decodeFDDI()
	case LinkTypeFRelay:
		p.decodeFrameRelay()
	case LinkTypeIPoIB:
		if len(f) >= 44 { // a global routing header, and 4 bytes
			p.decodeEtherType(binary.BigEndian.Uint16(f[40:]), 44)
		}
	case LinkTypePPI:
		if len(f) >= 8 {
			p.decodeWithin(binary.LittleEndian.Uint32(f[4:]), uint32(binary.LittleEndian.Uint16(f[2:])))
		}
	case LinkTypePKTAP, LinkTypeUser2:
		const packet = 1 // of the field at 4
		if len(f) >= 12 && binary.LittleEndian.Uint32(f[4:]) == packet {
			p.decodeWithin(binary.LittleEndian.Uint32(f[8:]), binary.LittleEndian.Uint32(f))
		}
	case LinkTypePPP:
		p.decodePPP(0)
	case LinkTypePPPHDLC:
		p.decodePPPHDLC()
	case LinkTypeCHDLC:
		p.decodeCHDLC()
	case LinkTypePPPoE:
		p.decodePPPoE(0)
	case LinkTypeNFLOG:
		p.decodeNFLOG()
	case LinkTypePFLOG:
		p.decodePFLOG()
	case LinkTypeWiFi:
		p.decodeWiFi(0, 0)
	case LinkTypePrism, LinkTypeAVS:
		p.decodePrism()
	case LinkTypeRadiotap:
		p.decodeRadiotap()
	default:
		return LinkTypeError(p.LinkType)
	}
	return nil
}

// decodeEthernet takes an Ethernet header behind other bytes, or one that has as many behind its
// addresses: the tag of a switch.
func (p *Packet) decodeEthernet(other int) {
	f, at := p.Frame, 12+other
	switch {
	case len(f) < at+2:
	case len(f) >= at+10 && string(f[at+2:at+8]) == llcSNAP &&
		binary.BigEndian.Uint16(f[at:]) <= maxLength8023:
		p.lengthAt = at
		p.decodeEtherType(binary.BigEndian.Uint16(f[at+8:]), at+10)
	default:
		p.decodeEtherType(binary.BigEndian.Uint16(f[at:]), at+2)
	}
}

// decodeEtherType takes the bytes from offset on. It walks any depth of VLAN tags.
func (p *Packet) decodeEtherType(etherType uint16, offset int) {
	for {
		p.EtherType = etherType
		switch etherType {
		case etherTypeIPv4, etherTypeIPv6:
			p.setNetwork(etherType, offset)
			return
		case etherTypeMPLS, etherTypeMPLSMC:
			p.decodeMPLS(offset)
			return
		case etherTypePPPoE:
			p.decodePPPoE(offset)
			return
		case etherType8021Q, etherType8021ad, etherType9100, etherType9200:
			if len(p.Frame) < offset+4 {
				return
			}
			p.VLANs = append(p.VLANs, binary.BigEndian.Uint16(p.Frame[offset:]))
			etherType = binary.BigEndian.Uint16(p.Frame[offset+2:])
			offset += 4
			if etherType <= maxLength8023 && len(p.Frame) >= offset+8 && string(p.Frame[offset:offset+6]) == llcSNAP {
				p.lengthAt = offset - 2
				etherType = binary.BigEndian.Uint16(p.Frame[offset+6:])
				offset += 8
			}
		default:
			p.unread = unreadFrames[etherType]
			return
		}
	}
}

// decodeMPLS passes over a label stack (RFC 3032 §2.1). Only the version nibble tells which packet
// is below; there may also be a frame, with or without a control word (RFC 4928 §3).
func (p *Packet) decodeMPLS(offset int) {
	for len(p.Frame) >= offset+4 {
		entry := binary.BigEndian.Uint32(p.Frame[offset:])
		p.labels = append(p.labels, entry)
		offset += 4
		if entry&mplsBottom != 0 {
			p.setNetwork(0, offset)
			if len(p.Network) > 0 && p.Network[0]>>4 != 1 && !isIP(p.Network) { // 1: an associated channel
				p.unread = "frames in MPLS"
			}
			return
		}
	}
}

// isIP reports whether bytes have the version nibble of IP.
func isIP(b []byte) bool { return b[0]>>4 == 4 || b[0]>>4 == 6 }

// setNetwork declares the frame from offset on to be the network layer; etherType 0 leaves it to
// the version nibble.
func (p *Packet) setNetwork(etherType uint16, offset int) {
	p.EtherType = etherType
	p.Network = p.Frame[offset:]
	p.NetworkLength = p.FrameLength - offset
}

// endNetwork ends the network layer before offset: the rest belongs to the link layer.
func (p *Packet) endNetwork(offset int) {
	begin := len(p.Frame) - len(p.Network)
	if p.Network == nil || offset < begin {
		return
	}
	p.NetworkLength = offset - begin
	p.trailer = max(0, len(p.Frame)-offset)
	p.Network = p.Network[:len(p.Network)-p.trailer]
}

func (p *Packet) decodeLoop(offset int) {
	if len(p.Frame) >= offset+4 {
		p.decodeEtherType(loopEtherType(binary.BigEndian.Uint32(p.Frame[offset:])), offset+4)
	}
}

// loopEtherType maps the address family of a BSD loopback header; 0 = not IP. The null type holds
// it in the byte order of the machine that captured, so both orders are taken.
func loopEtherType(family uint32) uint16 {
	if family > 0xffff {
		family = bits.ReverseBytes32(family)
	}
	switch family {
	case 2:
		return etherTypeIPv4
	case 10, 23, 24, 28, 30: // Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS
		return etherTypeIPv6
	}
	return 0
}
