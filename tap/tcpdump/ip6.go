package tcpdump

import "encoding/binary"

// header6 is the length of an IPv6 header (RFC 8200 §3).
const header6 = 40

func (l *line) ip6(b []byte, n uint32) {
	if len(b) < header6 {
		l.words("[|ip6]", " [|ip6]")
		return
	}
	if n < header6 {
		l.text("truncated-ip6 ").dec(n)
		return
	}
	if l.d == Modern {
		l.text("IP6 ")
		if v := b[0] >> 4; v != 6 {
			l.text("version error: ").dec(uint32(v)).text(" != 6")
			return
		}
	}
	l.chain(b, n)
	if l.d == Classic {
		l.tail6(b)
	}
}

// chain writes the extension headers of the packet ip and the upper layer behind them.
func (l *line) chain(ip []byte, n uint32) {
	payload := uint32(binary.BigEndian.Uint16(ip[4:]))
	var (
		next  = ip[6]
		size  = uint32(header6)   // of the header just passed
		left  = payload + header6 // announced, from that header on
		jumbo uint32              // payload length of a jumbogram (RFC 2675 §2)
	)
	if payload == 0 && l.d == Modern {
		left += n // unknown until a Jumbo Payload option is found
	} else {
		l.missing6(n, left)
	}
	if l.d == Modern {
		ip = ip[:min(uint64(len(ip)), uint64(left))]
	}
	for b, first := ip, true; len(b) > 0 && !l.full(); first = false {
		if left < size && l.d == Modern {
			l.text(" [|ip6]")
			return
		}
		b = skip(b, size)
		left -= size
		if first && next != protoTCP {
			l.addrs6(ip).text(": ")
		}
		switch {
		case next == protoHopByHop && l.d == Modern && !first:
			l.misplaced(ip)
			return
		case isExtension6(next, l.d):
			var ok bool
			if size, ok = l.extension6(ip, b, payload, next, &jumbo); !ok || len(b) == 0 {
				return
			}
			next = b[0]
			continue
		case l.d == Classic:
			l.upper6(ip, b, payload, left, next)
		case payload != 0:
			l.upper(ip, b, left, next)
		case jumbo != 0:
			l.jumbogram(ip, b, n, jumbo, next)
		case first:
			l.upper(ip, nil, 0, next)
		default:
			l.text(" [|ip6]")
		}
		return
	}
}

// isExtension6 reports whether a dialect takes a protocol for an extension header.
func isExtension6(proto byte, d Dialect) bool {
	switch proto {
	case protoHopByHop, protoDstOpts, protoRouting, protoFragment:
		return true
	}
	return proto == protoAH && d == Classic
}

// extension6 writes the extension header proto of the packet ip, which begins with b. It returns
// its size, and sets the payload length of a jumbogram.
func (l *line) extension6(
	ip, b []byte, payload uint32, proto byte, jumbo *uint32,
) (size uint32, ok bool) {
	switch {
	case proto == protoHopByHop && l.d == Modern:
		size, *jumbo, ok = l.hopByHop(b, payload)
	case proto == protoHopByHop:
		size, ok = l.options6(b, "HBH", "")
	case proto == protoDstOpts:
		size, ok = l.options6(b, "DSTOPT", "dstopt")
	case proto == protoRouting:
		size, ok = l.routing(b)
	case proto == protoFragment:
		size, ok = l.fragment6(b, int64(payload)-int64(len(ip)-len(b)-header6))
	default:
		size, ok = l.ah(b)
	}
	return size, ok
}

// upper6 is upper for Classic, which knows less behind IPv6 and gives a tunnelled packet the length
// of the whole payload.
func (l *line) upper6(ip, b []byte, payload, left uint32, proto uint8) {
	switch proto {
	case protoTCP:
		l.segment(ip, b, left)
	case protoIPv4:
		l.ip4(b, payload)
	case protoIPv6:
		l.ip6(b, payload)
	default:
		l.text("ip-proto-").dec(uint32(ip[6])).text(" ").dec(payload)
	}
}

// missing6 notes that a packet should have total bytes but has n.
func (l *line) missing6(n, total uint32) {
	if n < total {
		l.text("truncated-ip6 - ").dec(total - n).text(" bytes missing!")
	}
}

// tail6 writes Classic's notes on the IPv6 header, which end the line.
func (l *line) tail6(b []byte) {
	flow := binary.BigEndian.Uint32(b)
	if class := flow >> 20 & 0xff; class != 0 {
		l.text(" [class 0x").hex(uint64(class)).text("]")
	}
	if label := flow & 0xfffff; label != 0 {
		l.text(" [flowlabel 0x").hex(uint64(label)).text("]")
	}
	if hops := b[7]; hops <= 1 {
		l.text(" [hlim ").dec(uint32(hops)).text("]")
	}
}

func (l *line) addrs6(ip []byte) *line {
	return l.addr6(ip[8:24]).text(" > ").addr6(ip[24:40])
}
