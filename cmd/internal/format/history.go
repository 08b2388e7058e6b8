package format

import (
	"time"

	"syntap/tun/flow"
)

// step is one segment of a handshake as Zeek's history sees it.
type step struct {
	at                 time.Duration
	outbound, payload  bool
	syn, ack, fin, rst bool
	seq                uint32
}

// history gathers the letters of Zeek's history: S a SYN, H a SYN-ACK, A a pure ACK, D payload, F a
// FIN, R a RST, Q a SYN with FIN or RST, I a FIN with RST; in capitals from the client. A and D
// stand once for each side, S, H, F and R once for each sequence number (Zeek, Conn::Info).
type history struct {
	letters [maxHistory]byte
	n       int
	seen    [2]uint32 // bits of the letters that stand there, by side
	last    [2]struct {
		letter byte
		seq    uint32
	}
}

// maxHistory is the most letters of a handshake; it has at most 64 segments.
const maxHistory = 32

func (h *history) add(s step) {
	switch {
	case s.syn && (s.fin || s.rst):
		h.letter(s, 'q', true)
	case s.fin && s.rst:
		h.letter(s, 'i', true)
	case s.syn && s.ack:
		h.letter(s, 'h', false)
	case s.syn:
		h.letter(s, 's', false)
	case s.rst:
		h.letter(s, 'r', false)
	case s.ack && !s.payload && !s.fin:
		h.letter(s, 'a', true)
	}
	if s.payload {
		h.letter(s, 'd', true)
	}
	if s.fin && !s.syn && !s.rst {
		h.letter(s, 'f', false)
	}
}

// letter adds a letter unless it stands there already: once at all, or with this number.
func (h *history) letter(s step, c byte, once bool) {
	side := 0
	if s.outbound {
		side, c = 1, c-'a'+'A'
	}
	last, bit := &h.last[side], uint32(1)<<(c%32)
	if h.seen[side]&bit != 0 && (once || last.letter == c && last.seq == s.seq) || h.n == maxHistory {
		return
	}
	h.seen[side] |= bit
	last.letter, last.seq = c, s.seq
	h.letters[h.n] = c
	h.n++
}

// appendEnd appends the letters for the counters of a flow: payload of each side, then the ends of
// both. They are in this order, not in that of the packets.
func appendEnd(b []byte, r *Record) []byte {
	sent := r.Bytes
	if sent == (Traffic{}) {
		sent = r.Packets
	}
	if sent.Outbound > 0 {
		b = append(b, 'D')
	}
	if sent.Inbound > 0 {
		b = append(b, 'd')
	}
	switch {
	case r.Close == "fin" && r.ClosedBy == "client":
		b = append(b, "Ff"...)
	case r.Close == "fin":
		b = append(b, "fF"...)
	case r.Close == "rst" && r.ClosedBy == "client":
		b = append(b, 'R')
	case r.Close != "":
		b = append(b, 'r')
	}
	return b
}

// history returns the history as far as the record alone shows it.
func (r *Record) history() string {
	switch {
	case r.Type == Handshake:
		return r.History
	case r.Proto == flow.TCP:
		return "" // its handshake's record has the beginning
	case r.Type == Datagram && r.Denied():
		return ""
	case r.Type == Flow && r.Packets.Inbound > 0:
		return "Dd"
	}
	return "D"
}
