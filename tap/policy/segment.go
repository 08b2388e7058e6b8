package policy

import (
	"encoding/binary"
	"math/bits"

	"syntap/tun/packet"
)

// Offsets in a TCP header (RFC 9293 §3.1).
const (
	tcpDataOffset = 12
	tcpChecksum   = 16
	tcpOptions    = 20
)

const maxTCPHeader = 60 // what the four bits of the data offset can say

// Segment is a TCP segment as its parser found it, from its IP header on.
type Segment struct {
	// Buf holds the headers and perhaps payload. It is changed in place; an added option makes it
	// longer within its capacity, and is left out where that is too small.
	Buf       []byte
	TCP       int       // offset of the TCP header
	Direction Direction // Outbound or Inbound
	Fragment  bool      // of an IP packet: it stays as it is
	Partial   bool      // the checksum field holds the sum of the pseudo-header only (tun.NeedsCsum)
}

// end returns the offset of the first byte behind the TCP header, or false when the headers do not
// lie in Buf.
func (s *Segment) end() (end int, ok bool) {
	ipHeader := 20
	if len(s.Buf) > 0 && s.Buf[0]>>4 == 6 {
		ipHeader = 40
	}
	if s.TCP < ipHeader || len(s.Buf) < s.TCP+tcpOptions {
		return 0, false
	}
	end = s.TCP + int(s.Buf[s.TCP+tcpDataOffset]>>4)*4
	return end, end >= s.TCP+tcpOptions && end <= len(s.Buf)
}

// put changes the 16-bit word at an offset of the TCP header, and the checksum with it.
func (s *Segment) put(at int, v uint16) {
	word := s.Buf[s.TCP+at:]
	old := binary.BigEndian.Uint16(word)
	binary.BigEndian.PutUint16(word, v)
	if at%2 == 1 { // its bytes are summed the other way round (RFC 1071 §2.B)
		old, v = bits.ReverseBytes16(old), bits.ReverseBytes16(v)
	}
	if !s.Partial {
		s.updateChecksum(old, v)
	}
}

// updateChecksum follows the change of a word that the checksum covers. A partial checksum covers
// the pseudo-header alone and is not complemented (virtio 1.2 §5.1.6.2).
func (s *Segment) updateChecksum(old, v uint16) {
	field := s.Buf[s.TCP+tcpChecksum:]
	sum := binary.BigEndian.Uint16(field)
	if s.Partial {
		sum = ^packet.UpdateChecksum(^sum, old, v)
	} else {
		sum = packet.UpdateChecksum(sum, old, v)
	}
	binary.BigEndian.PutUint16(field, sum)
}

// insert makes an option of four bytes the first one. It reports false, and changes nothing, where
// the segment has payload, which would have to move, or no room.
func (s *Segment) insert(option [4]byte) bool {
	be := binary.BigEndian
	old, length := len(s.Buf), len(s.Buf)+len(option)
	if end, _ := s.end(); end != old || s.ipLength() != old || length > min(s.TCP+maxTCPHeader, cap(s.Buf)) {
		return false
	}
	s.Buf = s.Buf[:length]
	options := s.Buf[s.TCP+tcpOptions:]
	copy(options[len(option):], options) // by an even number of bytes: their sum stays
	clear(options[:len(option)])
	s.put(tcpOptions, be.Uint16(option[:]))
	s.put(tcpOptions+2, be.Uint16(option[2:]))
	s.put(tcpDataOffset, be.Uint16(s.Buf[s.TCP+tcpDataOffset:])+1<<12)
	s.updateChecksum(uint16(old-s.TCP), uint16(length-s.TCP)) // the length in the pseudo-header
	s.setIPLength(length)
	return true
}

// ipLength returns the length of the packet as its IP header says it.
func (s *Segment) ipLength() int {
	if s.Buf[0]>>4 == 4 {
		return int(binary.BigEndian.Uint16(s.Buf[2:]))
	}
	return 40 + int(binary.BigEndian.Uint16(s.Buf[4:]))
}

func (s *Segment) setIPLength(n int) {
	if s.Buf[0]>>4 == 4 {
		putIPv4(s.Buf, 2, uint16(n))
	} else {
		binary.BigEndian.PutUint16(s.Buf[4:], uint16(n-40))
	}
}
