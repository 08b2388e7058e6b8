package packet

import "encoding/binary"

// walk follows the chain of extension headers in b (RFC 8200 §4). It reads those that a host need
// not accept, too, but refuses TCP behind them.
func (h *Headers) walk(b []byte) {
	b = b[:min(len(b), h.Length)]
	odd := false
	for first := true; isExtension(h.Proto); first = false {
		h.Upper = false
		if len(b) < h.Offset+8 {
			h.refuse(ExtensionHeaders) // it may hide TCP
			return
		}
		x := b[h.Offset:]
		size := (int(x[1]) + 1) * 8
		switch h.Proto {
		case ProtoHopByHop:
			odd = odd || !first || !skippable(x[2:min(size, len(x))]) // RFC 8200 §4.1
		case ProtoDestOpts:
			odd = odd || !skippable(x[2:min(size, len(x))])
		case ProtoRouting:
			odd = odd || x[3] != 0 // segments left: the destination is another one
		case ProtoAH:
			odd = true
			size = (int(x[1]) + 2) * 4 // RFC 4302 §2.2
		case ProtoExperiment:
			odd = true
			size = 8
		case ProtoFragment:
			size = FragmentHeaderLen
			switch f := binary.BigEndian.Uint16(x[2:]); {
			case f&^7 != 0:
				h.laterFragment(x[0])
				return
			case f&1 != 0:
				h.Fragment = FirstFragment
			case h.Fragment == Whole:
				h.Fragment = AtomicFragment
			}
		}
		h.Proto = x[0]
		h.Offset += size
	}
	if h.Offset > h.Length {
		h.refuse(Malformed)
		return
	}
	h.Upper = true
	if odd && h.Proto == ProtoTCP {
		h.refuse(ExtensionHeaders)
	}
}

// skippable reports whether a host may skip the options of a header: it knows each of them, or its
// type says so (RFC 8200 §4.2).
func skippable(options []byte) bool {
	const pad1, action = 0, 0xc0 // the action bits of an option's type
	for len(options) > 0 {
		if options[0] == pad1 {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[0]&action != 0 || len(options) < 2+int(options[1]) {
			return false
		}
		options = options[2+int(options[1]):]
	}
	return true
}

// laterFragment notes a fragment other than the first. Its bytes are the upper layer's, but not
// from its start.
func (h *Headers) laterFragment(next uint8) {
	h.Upper, h.Fragment = false, LaterFragment
	if next == ProtoTCP || h.Version == 6 && isExtension(next) { // RFC 7112: the first fragment holds the whole chain
		h.refuse(TCPFragment)
	}
}

func isExtension(proto uint8) bool {
	switch proto {
	case ProtoHopByHop, ProtoRouting, ProtoFragment, ProtoAH, ProtoDestOpts, ProtoExperiment:
		return true
	}
	return false
}
