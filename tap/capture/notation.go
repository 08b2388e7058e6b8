package capture

import (
	"fmt"
	"net"
	"strings"

	"syntap/tap/tcpdump"
)

// Notation returns the packet as package tcpdump prints it, with the words of the two dialects for
// the link layer. It shares p's memory.
func (p *Packet) Notation() tcpdump.Packet {
	n := tcpdump.Packet{
		Data: p.Network, Length: p.NetworkLength, EtherType: p.EtherType, VLANs: p.VLANs,
	}
	classic, modern := &n.Prefix[tcpdump.Classic], &n.Prefix[tcpdump.Modern]
	etherType, ppp := "IPv4", "IP"
	if p.EtherType == etherTypeIPv6 {
		etherType, ppp = "IPv6", "IPv6"
	}
	if p.LinkType == LinkTypeLinuxSLL2 {
		*modern = fmt.Sprintf("%-5s %-3s ", p.interfaceName(), p.packetTypeName())
	}
	if p.LinkType == LinkTypeLinuxSLL || p.LinkType == LinkTypeLinuxSLL2 {
		if len(p.VLANs) > 0 {
			*modern += strings.Repeat("ethertype 802.1Q, ", len(p.VLANs)-1)
			*modern += "ethertype " + etherType + ", "
		}
	}
	switch p.LinkType {
	case LinkTypeDSA, LinkTypeEDSA, LinkTypeBRCM:
		*modern = p.switchTag()
	case LinkTypeFRelay:
		*modern = p.linkText
	case LinkTypeRadiotap:
		r := radiotap{frame: p.Frame}
		r.walk()
		*modern = string(r.text)
	default:
	}
	if p.pppoe {
		session := "PPPoE  "
		if p.session != 0 {
			session += fmt.Sprintf("[ses 0x%x] ", p.session)
		}
		*classic, *modern = session, *modern+session
	}
	if p.pppLength > 0 {
		*classic += fmt.Sprintf("%s %d: ", ppp, p.pppLength)
	}
	if p.pppProtocol != 0 {
		*classic, *modern = ppp+": ", pppName(p.pppProtocol)+": "
	}
	if len(p.labels) > 0 {
		*modern += labelStack(p.labels)
	}
	return n
}

// pppName returns tcpdump's name of a PPP protocol with IP packets.
func pppName(protocol uint16) string {
	switch protocol {
	case pppIPv6:
		return "IP6"
	case pppMPLS, pppMPLSMC:
		return "MPLS"
	}
	return "IP"
}

// interfaceName returns the name of an interface of this machine, as tcpdump does, though the
// number is of the machine that captured.
func (p *Packet) interfaceName() string {
	if p.names == nil {
		p.names = map[uint32]string{}
		interfaces, _ := net.Interfaces() // without them every name is unknown
		for _, i := range interfaces {
			p.names[uint32(i.Index)] = i.Name
		}
	}
	if name, ok := p.names[p.ifIndex]; ok {
		return name
	}
	return "?"
}

func (p *Packet) packetTypeName() string {
	// To this host, broadcast, multicast, to others, sent by this host.
	names := [...]string{"In", "B", "M", "P", "Out"}
	if int(p.packetType) < len(names) {
		return names[p.packetType]
	}
	return "?"
}

func labelStack(labels []uint32) string {
	var b strings.Builder
	b.WriteString("MPLS")
	for _, entry := range labels {
		fmt.Fprintf(&b, " (label %d, tc %d", entry>>12, entry>>9&7)
		if entry&mplsBottom != 0 {
			b.WriteString(", [S]")
		}
		fmt.Fprintf(&b, ", ttl %d)", entry&0xff)
	}
	return b.String() + " "
}
