package tcpdump

import "encoding/binary"

// optionModern writes an option that only Modern knows, or neither dialect. It takes the length
// that the option announces for its value and returns the length it has.
func (l *line) optionModern(o *options, kind byte, n int) (int, fault) {
	switch kind {
	case kindMD5:
		return 16, l.md5(o)
	case kindSCPS:
		return 2, l.scps(o)
	case kindUserTimeout:
		return 2, l.userTimeout(o)
	case kindTCPAO:
		return n, l.tcpAO(o, n)
	case kindMPTCP:
		return n, l.mptcp(o, n)
	case kindFastOpen:
		return n, l.fastOpen(o, n)
	case kindExperiment2:
		return n, l.experiment(o, n)
	}
	l.text("unknown-").dec(uint32(kind))
	if n > 0 {
		l.text(" 0x")
	}
	return n, l.captured(o, 0, n)
}

// md5 writes the signature of RFC 2385 §3.0, which tcpdump could verify if it had the secret.
func (l *line) md5(o *options) fault {
	l.text("md5")
	v, f := o.value(16)
	if f != noFault {
		return f
	}
	if o.whole {
		l.text(" shared secret not supplied with -M, can't check - ")
	} else {
		l.text(" snaplen too short, can't check - ")
	}
	l.octets(v)
	return noFault
}

// scps writes the capabilities of CCSDS 714.0-B-2.
func (l *line) scps(o *options) fault {
	l.text("scps")
	v, f := o.value(2)
	if f != noFault {
		return f
	}
	l.text(" cap ").octets(v[:1]).text(" id ").dec(uint32(v[1]))
	return noFault
}

// userTimeout writes the option of RFC 5482 §3, but takes the lowest bit for the granularity, which
// is the highest.
func (l *line) userTimeout(o *options) fault {
	l.text("uto")
	v, f := o.value(2)
	if f != noFault {
		return f
	}
	raw := binary.BigEndian.Uint16(v)
	seconds := uint32(raw >> 1)
	if raw&1 != 0 {
		seconds *= 60
	}
	l.text(" 0x").hex(uint64(raw)).text(" ").dec(seconds)
	return noFault
}

// tcpAO writes the authentication option of RFC 5925 §2.2.
func (l *line) tcpAO(o *options, n int) fault {
	l.text("tcp-ao")
	if n < 2 {
		l.text(" (invalid)")
		return noFault
	}
	v, f := o.value(1)
	if f != noFault {
		return f
	}
	l.text(" keyid ").dec(uint32(v[0]))
	if v, f = o.value(2); f != noFault {
		return f
	}
	l.text(" rnextkeyid ").dec(uint32(v[1]))
	if n > 2 {
		l.text(" mac 0x")
	}
	return l.captured(o, 2, n)
}

func (l *line) fastOpen(o *options, n int) fault {
	l.text("tfo")
	v, f := o.value(n)
	if f != noFault {
		return f
	}
	l.text(" ")
	l.cookie(v)
	return noFault
}

// cookie writes the value of a fast open option (RFC 7413 §4.1.1).
func (l *line) cookie(v []byte) {
	switch n := len(v); {
	case n == 0:
		l.text(" cookiereq")
	case n%2 != 0 || n < 4 || n > 16:
		l.text(" (invalid)")
	default:
		l.text(" cookie ").octets(v)
	}
}

// experiment writes an experimental option, which begins with its identifier (RFC 6994 §3).
func (l *line) experiment(o *options, n int) fault {
	const fastOpen = 0xf989 // IANA, TCP Experimental Option Experiment Identifiers
	l.text("exp")
	v, f := o.value(n)
	if f != noFault {
		return f
	}
	if n < 2 {
		return badOption
	}
	l.text("-")
	if binary.BigEndian.Uint16(v) == fastOpen {
		l.text("tfo")
		l.cookie(v[2:])
	} else {
		l.octets(v[:2])
	}
	return noFault
}
