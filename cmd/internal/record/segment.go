package record

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
)

// Segment is one segment of a handshake as data. The package's documentation describes its members.
type Segment struct {
	At        int64    `json:"at_us"`
	Dir       string   `json:"dir"`
	Flags     string   `json:"flags,omitempty"`
	Seq       *uint32  `json:"seq,omitempty"`
	Ack       *uint32  `json:"ack,omitempty"`
	Win       *uint16  `json:"win,omitempty"`
	Len       uint32   `json:"len"`
	Opts      []int    `json:"opts,omitzero"`
	DF        *bool    `json:"df,omitempty"`
	TTL       uint8    `json:"ttl"`
	Hdr       string   `json:"hdr"`
	Wire      *int     `json:"wire,omitempty"`
	EtherType uint16   `json:"ethertype,omitempty"`
	VLANs     []uint16 `json:"vlans,omitempty"`
	Prefix    []string `json:"prefix,omitempty"`
}

// Control bits of a TCP header (RFC 9293 §3.1), and where its fields lie.
const (
	flagACK = 1 << 4

	minHeader = 20 // bytes of a TCP header without options
)

// letters are the control bits as tcpdump writes them, from the lowest.
const letters = "FSRP.UEW"

// flags holds `"S."` and its like for each value of the control bits.
var flags = func() (t [256]string) {
	for bits := range t {
		text := ""
		for i := range letters {
			if bits>>i&1 != 0 {
				text += letters[i : i+1]
			}
		}
		if text == "" {
			text = "none"
		}
		t[bits] = text
	}
	return t
}()

// segments writes the segments of a handshake as data.
func (o *object) segments(r *handshake.Record) {
	o.raw(`,"segments":[`)
	for i := range r.Segments {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.segment(&r.Segments[i], r.Time)
	}
	o.raw(`]`)
}

func (o *object) segment(s *handshake.Segment, begin time.Time) {
	o.int(`{"at_us":`, s.Time.Sub(begin).Microseconds())
	if s.FromClient {
		o.raw(`,"dir":"outbound"`)
	} else {
		o.raw(`,"dir":"inbound"`)
	}
	b, h := s.Packet.Data, s.Header()
	if h != nil {
		o.raw(`,"flags":"`)
		o.raw(flags[h[13]])
		o.uint(`","seq":`, uint64(binary.BigEndian.Uint32(h[4:])))
		if h[13]&flagACK != 0 {
			o.uint(`,"ack":`, uint64(binary.BigEndian.Uint32(h[8:])))
		}
		o.uint(`,"win":`, uint64(binary.BigEndian.Uint16(h[14:])))
	}
	o.uint(`,"len":`, uint64(s.Payload))
	if h != nil {
		o.options(h[minHeader:])
	}
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		o.bool(`,"df":`, b[6]&0x40 != 0)
		o.uint(`,"ttl":`, uint64(b[8]))
	case len(b) >= 8:
		o.uint(`,"ttl":`, uint64(b[7]))
	default:
		o.raw(`,"ttl":0`)
	}
	o.packet(&s.Packet)
	o.raw(`}`)
}

// options writes the kinds of TCP options. A malformed option ends them.
func (o *object) options(b []byte) {
	const end, noOperation = 0, 1 // the kinds without a length
	o.raw(`,"opts":[`)
	for first := true; len(b) > 0; first = false {
		kind, n := b[0], 1
		if kind > noOperation && len(b) > 1 {
			n = max(1, int(b[1]))
		}
		if !first {
			o.b = append(o.b, ',')
		}
		o.uint("", uint64(kind))
		if kind == end || kind > noOperation && (len(b) < 2 || n < 2) || n > len(b) {
			break
		}
		b = b[n:]
	}
	o.raw(`]`)
}

// packet writes the members that AppendText needs.
func (o *object) packet(p *tcpdump.Packet) {
	o.b = append(hex.AppendEncode(append(o.b, `,"hdr":"`...), p.Data), '"')
	if p.Length != ipLength(p.Data) {
		o.int(`,"wire":`, int64(p.Length))
	}
	if p.EtherType != 0 && p.EtherType != etherType(p.Data) {
		o.uint(`,"ethertype":`, uint64(p.EtherType))
	}
	if len(p.VLANs) > 0 {
		key := `,"vlans":[`
		for _, tag := range p.VLANs {
			o.uint(key, uint64(tag))
			key = ","
		}
		o.raw(`]`)
	}
	if p.Prefix != [2]string{} {
		o.string(`,"prefix":[`, printed(p.Prefix[tcpdump.Classic]))
		o.string(`,`, printed(p.Prefix[tcpdump.Modern]))
		o.raw(`]`)
	}
}

// printed returns a prefix as tcpdump prints it.
func printed(prefix string) string {
	b := []byte(prefix)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// ipLength returns the length of a packet as its IP header has it; 0 for one without.
func ipLength(b []byte) int {
	switch {
	case len(b) >= 4 && b[0]>>4 == 4:
		return int(binary.BigEndian.Uint16(b[2:]))
	case len(b) >= 6 && b[0]>>4 == 6:
		return 40 + int(binary.BigEndian.Uint16(b[4:]))
	}
	return 0
}

// etherType returns the Ethertype of an IP packet (IANA "IEEE 802 Numbers"); 0 for another.
func etherType(b []byte) uint16 {
	switch {
	case len(b) > 0 && b[0]>>4 == 4:
		return 0x0800
	case len(b) > 0 && b[0]>>4 == 6:
		return 0x86dd
	}
	return 0
}

// Packet returns the packet that the segment was read from, its headers only; ok is false where hdr
// is no hex.
func (s *Segment) Packet() (p tcpdump.Packet, ok bool) {
	b, err := hex.DecodeString(s.Hdr)
	p = tcpdump.Packet{Data: b, Length: ipLength(b), EtherType: s.EtherType, VLANs: s.VLANs}
	if s.Wire != nil {
		p.Length = *s.Wire
	}
	copy(p.Prefix[:], s.Prefix)
	return p, err == nil
}

// AppendText appends the segments in a member "segments", as Line.Raw returns it, in a notation of
// tcpdump, one line each. ok is false, and nothing appended, if there are none or they are
// malformed.
func AppendText(dst, segments []byte, d tcpdump.Dialect) (text []byte, ok bool) {
	if len(segments) == 0 || segments[0] != '[' {
		return dst, false
	}
	var s scanner
	var headers [512]byte
	text = dst
	for at := 1; ; {
		p, end := s.packet(headers[:0], segments, s.spaces(segments, at))
		if end < 0 {
			return dst, false
		}
		text = append(tcpdump.Append(text, d, &p), '\n')
		more, next := s.next(segments, end, ']')
		switch {
		case next < 0:
			return dst, false
		case !more:
			return text, true
		}
		at = next
	}
}

// packet goes over a segment and returns its packet, with its bytes behind dst. It decodes the
// members that nearly all have; encoding/json takes twenty times as long.
func (s *scanner) packet(dst, b []byte, at int) (p tcpdump.Packet, end int) {
	found, rare := false, false
	end = s.members(b, at, 0, func(key, value []byte) bool {
		switch string(key) {
		case "hdr":
			bytes, err := hex.AppendDecode(dst, unquoted(value))
			p.Data, p.Length, found = bytes, ipLength(bytes), err == nil && value[0] == '"'
		case "wire", "ethertype", "vlans", "prefix":
			rare = true
		}
		return true
	})
	if end >= 0 && rare {
		var segment Segment
		found = json.Unmarshal(b[at:end], &segment) == nil
		if found {
			p, found = segment.Packet()
		}
	}
	if !found {
		return p, -1
	}
	return p, end
}
