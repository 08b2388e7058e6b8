package capture

import "encoding/binary"

// Bits of the frame control field of 802.11 in little-endian order (IEEE 802.11 §9.2.4.1).
const (
	wifiType      = 0x000c
	wifiData      = 0x0008
	wifiNoData    = 0x0040 // of data frames, as the next
	wifiQoS       = 0x0080
	wifiToDS      = 0x0100
	wifiFromDS    = 0x0200
	wifiProtected = 0x4000
	wifiOrder     = 0x8000 // of QoS data frames: an HT Control field follows
)

const wifiAMSDU = 0x80 // of the first byte of the QoS Control field

// decodePrism takes a header of the drivers of old cards: one of fixed length, or one that begins
// with a magic number and its length
// (https://www.tcpdump.org/linktypes/LINKTYPE_IEEE802_11_AVS.html).
func (p *Packet) decodePrism() {
	const length, magic1, magic2 = 144, 0x80211001, 0x80211002
	f := p.Frame
	if len(f) < 8 {
		return
	}
	header := length
	if m := binary.BigEndian.Uint32(f); m == magic1 || m == magic2 || p.LinkType == LinkTypeAVS {
		header = int(binary.BigEndian.Uint32(f[4:]))
	}
	if header >= 8 && header <= len(f) {
		p.decodeWiFi(header, 0)
	}
}

// decodeWiFi takes an 802.11 frame from offset on, whose header is flagged by radiotap. Frames that
// are no data have no network layer.
func (p *Packet) decodeWiFi(offset int, flags uint8) {
	end := p.FrameLength
	if flags&radiotapFCS != 0 {
		end -= 4
	}
	f := p.Frame[:min(len(p.Frame), max(end, 0))]
	if len(f) < offset+2 {
		return
	}
	control := binary.LittleEndian.Uint16(f[offset:])
	if control&wifiType != wifiData || control&wifiNoData != 0 {
		return
	}
	header := 24
	if control&(wifiToDS|wifiFromDS) == wifiToDS|wifiFromDS {
		header = 30
	}
	qos := offset + header
	if control&wifiQoS != 0 {
		header += 2
		if control&wifiOrder != 0 {
			header += 4
		}
	}
	if flags&radiotapPad != 0 {
		header = (header + 3) &^ 3
	}
	at := offset + header
	switch {
	case len(f) < at:
	case control&wifiProtected != 0:
		p.unread = "encrypted 802.11 frames"
	case control&wifiQoS != 0 && f[qos]&wifiAMSDU != 0:
		p.msdu, p.msduEnd = at, end
		p.decodeMSDU()
	case len(f) >= at+8 && string(f[at:at+6]) == llcSNAP:
		p.decodeEtherType(binary.BigEndian.Uint16(f[at+6:]), at+8)
		if end < p.FrameLength {
			p.endNetwork(end)
		}
	}
}

// decodeMSDU takes the next of several packets in an 802.11 frame: its addresses, its length, and
// padding to four bytes behind all but the last (IEEE 802.11 §9.3.2.2.2).
func (p *Packet) decodeMSDU() {
	const header, snap = 14, 8
	p.EtherType, p.Network, p.NetworkLength, p.trailer = 0, nil, 0, 0
	p.VLANs, p.labels = p.VLANs[:0], p.labels[:0]
	at, f := p.msdu, p.Frame
	p.msdu = 0
	if len(f) < at+header {
		return
	}
	p.lengthAt = at + header - 2
	body, length := at+header, int(binary.BigEndian.Uint16(f[p.lengthAt:]))
	if next := at + (header+length+3)&^3; next+header <= p.msduEnd {
		p.msdu = next
	}
	if len(f) >= body+snap && string(f[body:body+6]) == llcSNAP {
		p.decodeEtherType(binary.BigEndian.Uint16(f[body+6:]), body+snap)
		p.endNetwork(body + length)
	}
}
