package tcpdump

import "encoding/binary"

// hopByHop is options6 for Modern's hop-by-hop header, whose options it reads: they hold a
// jumbogram's length, which must be there when the IPv6 header has none.
func (l *line) hopByHop(b []byte, payload uint32) (size, jumbo uint32, ok bool) {
	size, ok = l.options6(b, "HBH", "hbhopt")
	if ok {
		jumbo, ok = l.jumbo(b[2:size])
	}
	if payload == 0 && jumbo == 0 {
		l.text("[No valid Jumbo Payload Hop-by-Hop option found] (invalid)")
		return 0, 0, false
	}
	return size, jumbo, ok
}

// jumbo returns the value of the first Jumbo Payload option when it is valid (RFC 2675 §2), else 0.
func (l *line) jumbo(options []byte) (length uint32, ok bool) {
	const pad1, routerAlert, jumboPayload, homeAddress = 0, 5, 0xc2, 0xc9
	seen := false
	for rest := options; len(rest) > 0; {
		if rest[0] == pad1 {
			rest = rest[1:]
			continue
		}
		if len(rest) < 2 || len(rest) < int(rest[1])+2 {
			l.text(" [|hbhopt]")
			return length, false
		}
		size := int(rest[1]) + 2
		switch rest[0] {
		case routerAlert: // RFC 2711 §2.1
			ok = l.optionSize(rest, "rtalert", 4, size == 4)
		case jumboPayload:
			ok = l.optionSize(rest, "jumbo", 6, size == 6)
			if ok && !seen {
				seen = true
				if v := binary.BigEndian.Uint32(rest[2:]); v > 65535 {
					length = v
				}
			}
		case homeAddress: // RFC 6275 §6.3
			ok = l.optionSize(rest, "homeaddr", 18, size >= 18)
		default:
			ok = true
		}
		if !ok {
			l.text(" [|hbhopt]")
			return length, false
		}
		rest = rest[size:]
	}
	return length, true
}

// optionSize objects to an option of a known type but the wrong length.
func (l *line) optionSize(rest []byte, name string, want int, ok bool) bool {
	switch {
	case len(rest) < want:
		l.text("(").text(name).text(": trunc)")
	case !ok:
		l.text("(").text(name).text(": invalid len ").dec(uint32(rest[1])).text(")")
	default:
		return true
	}
	return false
}

// jumbogram writes the payload b of ip, whose length is that of the option.
func (l *line) jumbogram(ip, b []byte, n, jumbo uint32, proto uint8) {
	total := jumbo + header6
	walked := uint32(len(ip) - len(b))
	if total < walked {
		l.text(" [|ip6]")
		return
	}
	l.missing6(n, total)
	left := total - walked
	l.upper(ip, b[:min(uint64(len(b)), uint64(left))], left, proto)
}

// misplaced objects to a hop-by-hop header that is not the first extension header (RFC 8200 §4.1).
func (l *line) misplaced(ip []byte) {
	if ip[6] == protoHopByHop {
		l.text("[The Hop-by-Hop Options header was already found] (invalid)")
	} else {
		l.text("[The Hop-by-Hop Options header don't follow the IPv6 header] (invalid)")
	}
}
