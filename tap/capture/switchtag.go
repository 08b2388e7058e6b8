package capture

import (
	"encoding/binary"
	"fmt"
)

// Lengths in bytes of the tags that switches of Marvell put behind the addresses of an Ethernet
// frame; dsaLength is that of Broadcom's tags, too.
const (
	dsaLength  = 4
	edsaLength = 8
)

// switchTag returns tcpdump's text for a frame with such a tag; empty if it is cut.
func (p *Packet) switchTag() string {
	f := p.Frame
	switch {
	case p.LinkType == LinkTypeDSA && len(f) >= 12+dsaLength:
		return "DSA " + dsaText(f[12:])
	case p.LinkType == LinkTypeBRCM && len(f) >= 12+dsaLength:
		return "BRCM tag " + brcmText(f[12:])
	case p.LinkType == LinkTypeEDSA && len(f) >= 12+edsaLength:
		return fmt.Sprintf("EDSA 0x%04x, ", binary.BigEndian.Uint16(f[12:])) + dsaText(f[16:])
	}
	return ""
}

func dsaText(tag []byte) string {
	device, port, flag := tag[0]&0x1f, tag[1]>>3, tag[1]&0x04 != 0
	text := ""
	switch tag[0] >> 6 {
	case 0:
		text = fmt.Sprintf("port %d.%d > CPU, ", device, port)
	case 1:
		text = fmt.Sprintf("CPU > port %d.%d, ", device, port)
	case 2:
		sniffer := "Tx"
		if flag {
			sniffer = "Rx"
		}
		text = fmt.Sprintf("port %d.%d > %s Sniffer, ", device, port, sniffer)
	case 3:
		kind := "port"
		if flag {
			kind = "trunk"
		}
		text = fmt.Sprintf("Forward %s %d.%d, ", kind, device, port)
	}
	tagged := 'u'
	if tag[0]&0x20 != 0 {
		tagged = 't'
	}
	return text + fmt.Sprintf("VLAN %d%c, ", binary.BigEndian.Uint16(tag[2:])&0xfff, tagged)
}

func brcmText(tag []byte) string {
	op, text := tag[0]>>5, "OP: EG, "
	if op != 0 { // towards the switch
		text = "OP: IG, "
	}
	if op&1 != 0 {
		targets := [...]string{"None", "Untag", "Header", "Reserved"}
		return text + fmt.Sprintf("TC: %d, TE: %s, TS: %d, DST map: 0x%04x, ",
			tag[1]>>2&7, targets[tag[1]&3], tag[1]>>7, binary.BigEndian.Uint16(tag[2:])&0x1ff)
	}
	reasons := map[byte]string{
		1: "mirror", 2: "MAC learning", 4: "switching", 8: "prot term", 16: "prot snoop", 32: "exception",
	}
	reason, ok := reasons[tag[2]]
	if !ok {
		reason = "reserved"
	}
	return text + fmt.Sprintf("CID: %d, RC: %s, TC: %d, port: %d, ", tag[1], reason, tag[3]>>5, tag[3]&0x1f)
}
