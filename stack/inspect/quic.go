package inspect

import (
	"encoding/binary"
	"fmt"

	"syntap/tun/flow"
)

// Versions of QUIC whose Initial packets can be opened.
const (
	quicV1 = 0x00000001 // RFC 9000 §15
	quicV2 = 0x6b3343cf // RFC 9369 §3.1
)

// Bounds of a client's Initial packets.
const (
	maxCoalesced = 8  // packets of one datagram that are looked at
	maxInitials  = 32 // packets of one client that are opened
)

// QUIC reads the first datagram of a client, which is nil for other protocols. more is not nil if
// the ClientHello needs further datagrams: these are for its Add.
func QUIC(datagram []byte) (q *flow.QUIC, more *Initials) {
	p, ok := parseLong(datagram)
	if !ok || p.version == 0 { // 0 is a server's version negotiation
		return nil, nil
	}
	switch p.version {
	case quicV1:
		q = &flow.QUIC{Version: "1"}
	case quicV2:
		q = &flow.QUIC{Version: "2"}
	default:
		if !p.initial || len(datagram) < minInitial || len(p.dcid) < minConnID {
			return nil, nil
		}
		return &flow.QUIC{Version: fmt.Sprintf("0x%08x", p.version)}, nil
	}
	if !p.initial {
		return nil, nil
	}
	more = new(Initials)
	var wants bool
	if q.Hello, wants = more.Add(datagram); !wants {
		more = nil
	}
	return q, more
}

// minInitial is the size of a client's first datagram, in bytes (RFC 9000 §14.1).
const minInitial = 1200

// Initials puts together the ClientHello of a QUIC client from the CRYPTO frames of its Initial
// packets (RFC 9001 §5.2, RFC 9369 §3.3).
type Initials struct {
	version uint32
	keys    *initialKeys
	opened  int // packets
	crypto  cryptoStream
}

// Size returns the bytes of memory that the ClientHello in part takes.
func (i *Initials) Size() int { return i.crypto.size() + 1024 }

// Add reads the next datagram of the client. It returns the ClientHello when that is complete. more
// is false if further datagrams would add nothing. The datagram is not changed.
func (i *Initials) Add(datagram []byte) (hello *flow.Hello, more bool) {
	for range maxCoalesced { // RFC 9000 §12.2
		p, ok := parseLong(datagram)
		if !ok || p.version != quicV1 && p.version != quicV2 {
			break
		}
		if p.initial && i.opened < maxInitials {
			i.opened++
			if payload := i.open(p, datagram); payload != nil && !i.crypto.addFrames(payload) {
				return nil, false
			}
		}
		datagram = datagram[p.end:]
	}
	body, missing := helloBody(i.crypto.prefix())
	switch {
	case missing == 0:
		return parseHello(body), false
	case missing < 0:
		return nil, false
	}
	return nil, i.opened < maxInitials
}

// Follow reads a datagram of a client whose connections must all be checked, including later ones
// from the same port. It returns the ClientHello of the latest connection when that is complete.
// wait means that a connection has none yet; Follow must get the following datagrams, too. It
// reports false for bytes that are not a ClientHello, or differ from earlier ones.
func (i *Initials) Follow(datagram []byte) (hello *flow.Hello, wait, ok bool) {
	rest := datagram
	for range maxCoalesced {
		p, long := parseLong(rest)
		if !long {
			break
		}
		rest = rest[p.end:]
	}
	if p, long := parseLong(rest); long && p.version != 0 {
		return nil, false, false // more packets than are looked at
	}
	for range 2 {
		i.opened = 0
		if hello, wait = i.Add(datagram); hello != nil || wait {
			return hello, wait, true
		}
		*i = Initials{} // for another connection
	}
	return nil, false, false
}

// HasInitial reports whether a datagram of a client contains an Initial packet, which may begin a
// connection. readable is false if the version of QUIC is unknown here.
func HasInitial(datagram []byte) (has, readable bool) {
	for rest := datagram; ; {
		p, ok := parseLong(rest)
		switch {
		case !ok || p.version == 0:
			return false, false
		case p.version != quicV1 && p.version != quicV2:
			begins := p.initial && len(datagram) >= minInitial && len(p.dcid) >= minConnID
			return begins, false
		case p.initial:
			return true, true
		}
		rest = rest[p.end:]
	}
}

// open removes the protection of an Initial packet, or returns nil if it is not the client's. The
// keys stay those of the first packet until a Retry or another version changes them (RFC 9001
// §5.2, RFC 9368 §2).
func (i *Initials) open(p longHeader, datagram []byte) []byte {
	if i.keys != nil && p.version == i.version {
		if payload := i.keys.open(p, datagram); payload != nil {
			return payload
		}
	}
	keys, err := newInitialKeys(p.version, p.dcid)
	if err != nil {
		return nil
	}
	payload := keys.open(p, datagram)
	if payload == nil {
		return nil
	}
	if p.version != i.version {
		i.crypto = cryptoStream{}
	}
	i.keys, i.version = keys, p.version
	return payload
}

// longHeader is a packet with a long header (RFC 9000 §17.2), by its offsets in the datagram.
type longHeader struct {
	version uint32
	initial bool
	dcid    []byte
	number  int // offset of the packet number
	end     int // of the packet
}

const (
	maxConnID = 20 // bytes (RFC 9000 §17.2)
	minConnID = 8  // of the first destination that a client chooses (RFC 9000 §7.2)
)

// parseLong reads the header of a datagram's first packet, which has a length. Headers of other
// versions have to look like those of version 1. Those of versions 1 and 2 may have no fixed bit,
// as clients leave it out for servers that they know (RFC 9287).
func parseLong(d []byte) (p longHeader, ok bool) {
	const isLong, isFixed = 0x80, 0x40
	if len(d) < 7 || d[0]&isLong == 0 {
		return p, false
	}
	p.version = binary.BigEndian.Uint32(d[1:])
	if d[0]&isFixed == 0 && p.version != quicV1 && p.version != quicV2 {
		return p, false
	}
	initial, retry := byte(0), byte(3)
	if p.version == quicV2 { // RFC 9369 §3.2
		initial, retry = 1, 0
	}
	kind := d[0] >> 4 & 3
	if kind == retry {
		return p, false
	}
	p.initial = kind == initial
	r := reader{b: d[5:]}
	p.dcid = r.vector(1)
	scid := r.vector(1)
	if len(p.dcid) > maxConnID || len(scid) > maxConnID {
		return p, false
	}
	if p.initial {
		r.take(r.varint()) // token
	}
	size := r.varint()
	p.number = len(d) - len(r.b)
	p.end = p.number + size
	return p, !r.bad && size <= len(r.b) && size > 0
}

// varint reads a variable-length integer (RFC 9000 §16). One above 2^30 is longer than all bytes.
func (r *reader) varint() int {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	size := 1 << (r.b[0] >> 6)
	var v uint64
	for _, c := range r.take(size) {
		v = v<<8 | uint64(c)
	}
	return int(min(v&(1<<(8*size-2)-1), 1<<30))
}
