package capture

// Address families of the systems that log packets.
const (
	familyIPv4      = 2
	familyLinuxIPv6 = 10
)

// decodeNFLOG takes a packet that Linux's netfilter has logged: a header, then attributes in the
// byte order of the machine that captured, of which one is the packet
// (https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html).
func (p *Packet) decodeNFLOG() {
	const header, attribute, payload = 4, 4, 9
	f := p.Frame
	if len(f) < header || f[1] != 0 { // another version
		return
	}
	for at := header; len(f) >= at+attribute; {
		length, kind := int(p.order.Uint16(f[at:])), p.order.Uint16(f[at+2:])
		if length < attribute {
			return
		}
		if kind == payload {
			switch f[0] {
			case familyIPv4:
				p.setNetwork(etherTypeIPv4, at+attribute)
			case familyLinuxIPv6:
				p.setNetwork(etherTypeIPv6, at+attribute)
			default:
				p.unread = "packets logged for another family than IP"
			}
			return
		}
		at += (length + 3) &^ 3
	}
}

// decodePFLOG takes a packet that OpenBSD's pf has logged, on whatever system
// (https://www.tcpdump.org/linktypes/LINKTYPE_PFLOG.html).
func (p *Packet) decodePFLOG() {
	const least = 45
	f := p.Frame
	if len(f) < 2 || f[0] < least {
		return
	}
	header := (int(f[0]) + 3) &^ 3
	if len(f) < header {
		return
	}
	switch f[1] {
	case familyIPv4:
		p.setNetwork(etherTypeIPv4, header)
	case 24, 28, 30: // NetBSD and OpenBSD, FreeBSD, macOS
		p.setNetwork(etherTypeIPv6, header)
	}
}
