package tcpdump

import (
	"encoding/binary"
	"strconv"
)

// mptcpNames are the subtypes of multipath TCP (RFC 8684 §3) in their order; the last one stands
// for all others.
var mptcpNames = [...]string{
	"capable", "join", "dss", "add-addr", "rem-addr", "prio", "fail", "fast-close", "unknown",
}

// mptcp writes a multipath TCP option whose value has n bytes.
func (l *line) mptcp(o *options, n int) fault {
	l.text("mptcp")
	v, f := o.value(n)
	if f != noFault {
		return f
	}
	o.proto = "mptcp"
	if n < 1 {
		return badOption
	}
	subtype := min(int(v[0]>>4), len(mptcpNames)-1)
	l.text(" ").dec(uint32(n + 2)).text(" ").text(mptcpNames[subtype])
	ok := true
	switch subtype {
	case 0:
		ok = l.mpCapable(v, o.flags)
	case 1:
		ok = l.mpJoin(v, o.flags)
	case 2:
		ok = l.mpDSS(v, o.flags)
	case 3:
		ok = l.mpAddAddr(v)
	case 4:
		ok = l.mpRemoveAddr(v)
	case 5:
		ok = l.mpPrio(v)
	case 6:
		if ok = n == 10; ok {
			l.text(" seq ").dec64(binary.BigEndian.Uint64(v[2:]))
		}
	case 7:
		if ok = n == 10; ok {
			l.text(" key 0x").hex(binary.BigEndian.Uint64(v[2:]))
		}
	}
	if !ok {
		return badOption
	}
	return noFault
}

// mpCapable writes MP_CAPABLE (RFC 8684 §3.1). Like those below it takes the value from the subtype
// on.
func (l *line) mpCapable(v []byte, flags uint8) bool {
	switch len(v) {
	case 2, 10:
		if flags&flagSYN == 0 {
			return false
		}
	case 18, 20:
		if flags&(flagSYN|flagACK) != flagACK {
			return false
		}
	default:
		return false
	}
	version := v[0] & 0xf
	if version > 1 {
		l.text(" Unknown Version (").dec(uint32(version)).text(")")
		return true
	}
	l.text(" v").dec(uint32(version))
	if v[1]&0x80 != 0 {
		l.text(" csum")
	}
	if len(v) >= 10 {
		l.text(" {0x").hex(binary.BigEndian.Uint64(v[2:]))
		if len(v) >= 18 {
			l.text(",0x").hex(binary.BigEndian.Uint64(v[10:]))
		}
		l.text("}")
	}
	return true
}

// mpJoin writes MP_JOIN, which has a form for each step of the handshake (RFC 8684 §3.2).
func (l *line) mpJoin(v []byte, flags uint8) bool {
	const syn, synACK, ack = 10, 14, 22
	switch {
	case len(v) == syn && flags&flagSYN != 0:
	case len(v) == synACK && flags&flagSYN != 0 && flags&flagACK != 0:
	case len(v) == ack && flags&flagACK != 0:
		l.text(" hmac 0x").octets(v[2:])
		return true
	default:
		return false
	}
	if v[0]&1 != 0 {
		l.text(" backup")
	}
	l.text(" id ").dec(uint32(v[1]))
	if len(v) == syn {
		l.text(" token 0x").hex(uint64(binary.BigEndian.Uint32(v[2:])))
	} else {
		l.text(" hmac 0x").hex(binary.BigEndian.Uint64(v[2:]))
	}
	l.text(" nonce 0x").hex(uint64(binary.BigEndian.Uint32(v[len(v)-4:])))
	return true
}

// mpDSS writes a data sequence signal (RFC 8684 §3.3).
func (l *line) mpDSS(v []byte, flags uint8) bool {
	const fin, longSeq, hasSeq, longACK, hasACK = 0x10, 0x08, 0x04, 0x02, 0x01
	if len(v) < 2 || flags&flagSYN != 0 {
		return false
	}
	dss, rest := v[1], v[2:]
	if dss&fin != 0 {
		l.text(" fin")
	}
	var ok bool
	if dss&hasACK != 0 {
		l.text(" ack ")
		if rest, ok = l.mpNumber(rest, dss&longACK != 0); !ok {
			return false
		}
	}
	if dss&hasSeq != 0 {
		l.text(" seq ")
		if rest, ok = l.mpNumber(rest, dss&longSeq != 0); !ok || len(rest) < 4 {
			return false
		}
		l.text(" subseq ").dec(binary.BigEndian.Uint32(rest))
		if rest = rest[4:]; len(rest) < 2 {
			return false
		}
		l.text(" len ").dec(uint32(binary.BigEndian.Uint16(rest)))
		if rest = rest[2:]; len(rest) >= 2 {
			l.text(" csum 0x").hex(uint64(binary.BigEndian.Uint16(rest)))
			rest = rest[2:]
		}
	}
	return len(rest) == 0
}

// mpNumber writes the number at the start of b, of eight or four bytes, and returns the bytes
// behind it.
func (l *line) mpNumber(b []byte, long bool) (rest []byte, ok bool) {
	switch {
	case long && len(b) >= 8:
		l.dec64(binary.BigEndian.Uint64(b))
		return b[8:], true
	case !long && len(b) >= 4:
		l.dec(binary.BigEndian.Uint32(b))
		return b[4:], true
	}
	return b, false
}

// mpAddAddr writes ADD_ADDR, of version 0 or 1 (RFC 6824 §3.4.1, RFC 8684 §3.4.1): an address,
// perhaps a port, perhaps a MAC.
func (l *line) mpAddAddr(v []byte) bool {
	address := 4
	if len(v) >= 18 {
		address = 16
	}
	extra := len(v) - 2 - address
	if extra != 0 && extra != 2 && extra != 8 && extra != 10 {
		return false
	}
	switch v[0] & 0xf {
	case 0:
		l.text(" v1")
	case 1:
		l.text(" v1-echo")
	case 4:
		l.text(" v0-ip4")
	case 6:
		l.text(" v0-ip6")
	default:
		l.text(" [bad version/echo]")
	}
	l.text(" id ").dec(uint32(v[1])).text(" ")
	if address == 4 {
		l.addr4(v[2:6])
	} else {
		l.addr6(v[2:18])
	}
	rest := v[2+address:]
	if extra == 2 || extra == 10 {
		l.text(":").dec(uint32(binary.BigEndian.Uint16(rest)))
		rest = rest[2:]
	}
	if len(rest) != 0 {
		l.text(" hmac 0x").hex(binary.BigEndian.Uint64(rest))
	}
	return true
}

// mpRemoveAddr writes REMOVE_ADDR (RFC 8684 §3.4.2).
func (l *line) mpRemoveAddr(v []byte) bool {
	if len(v) < 2 {
		return false
	}
	l.text(" id")
	for _, id := range v[1:] {
		l.text(" ").dec(uint32(id))
	}
	return true
}

// mpPrio writes MP_PRIO (RFC 8684 §3.3.8).
func (l *line) mpPrio(v []byte) bool {
	if len(v) > 2 {
		return false
	}
	if v[0]&1 != 0 {
		l.text(" backup")
	} else {
		l.text(" non-backup")
	}
	if len(v) == 2 {
		l.text(" id ").dec(uint32(v[1]))
	}
	return true
}

func (l *line) dec64(v uint64) { l.b = strconv.AppendUint(l.b, v, 10) }
