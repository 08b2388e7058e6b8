package policy

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"syntap/tun/packet"
)

const (
	tcpOptions   = packet.TCPHeaderLen // their offset in the TCP header
	maxTCPHeader = 60                  // the four bits of the data offset say no more
)

// Packet is a packet that rules may change.
type Packet struct {
	// Buf holds the packet, at least its headers. It is changed in place; an added option makes it
	// longer within its capacity, and is left out if that is too small.
	Buf       []byte
	Headers   *packet.Headers  // of Buf, as they were before an option was added
	Direction packet.Direction // Outbound or Inbound
	Partial   bool             // the TCP checksum field holds the sum of the pseudo-header only
}

// ends returns the client and the server of the packet.
func (p *Packet) ends() (client, server netip.AddrPort) {
	client, server = p.Headers.Ends(p.Buf)
	if p.Direction == packet.Inbound {
		client, server = server, client
	}
	return client, server
}

// tcp returns the packet from the TCP header on.
func (p *Packet) tcp() []byte { return p.Buf[p.Headers.Offset:] }

// put changes the 16-bit word at an offset of the TCP header, and the checksum with it.
func (p *Packet) put(at int, v uint16) {
	word := p.tcp()[at:]
	old := binary.BigEndian.Uint16(word)
	binary.BigEndian.PutUint16(word, v)
	if at%2 == 1 { // its bytes are summed the other way round (RFC 1071 §2.B)
		old, v = bits.ReverseBytes16(old), bits.ReverseBytes16(v)
	}
	if !p.Partial {
		p.updateChecksum(old, v)
	}
}

// updateChecksum follows the change of a word that the checksum covers. A partial checksum covers
// the pseudo-header alone and is not complemented (virtio 1.2 §5.1.6.2).
func (p *Packet) updateChecksum(old, v uint16) {
	field := p.tcp()[packet.TCPChecksum:]
	sum := binary.BigEndian.Uint16(field)
	if p.Partial {
		sum = ^packet.UpdateChecksum(^sum, old, v)
	} else {
		sum = packet.UpdateChecksum(sum, old, v)
	}
	binary.BigEndian.PutUint16(field, sum)
}

// insert makes an option of four bytes the first one. It reports false, and changes nothing, if the
// segment has payload, which would have to move, or no room.
func (p *Packet) insert(option [4]byte) bool {
	be := binary.BigEndian
	h, old, length := p.Headers, len(p.Buf), len(p.Buf)+len(option)
	if h.End != old || h.Length != old || h.Problem == packet.Malformed ||
		length > min(h.Offset+maxTCPHeader, cap(p.Buf)) {
		return false
	}
	p.Buf = p.Buf[:length]
	options := p.tcp()[tcpOptions:]
	copy(options[len(option):], options) // by an even number of bytes: their sum stays
	clear(options[:len(option)])
	p.put(tcpOptions, be.Uint16(option[:]))
	p.put(tcpOptions+2, be.Uint16(option[2:]))
	p.put(packet.TCPDataOffset, be.Uint16(p.tcp()[packet.TCPDataOffset:])+1<<12)
	p.updateChecksum(uint16(old-h.Offset), uint16(length-h.Offset)) // the pseudo-header's length
	p.setIPLength(length)
	return true
}

// setIPLength changes the length of the packet in its IP header.
func (p *Packet) setIPLength(n int) {
	if p.Headers.Version == 4 {
		putIPv4(p.Buf, 2, uint16(n))
	} else {
		binary.BigEndian.PutUint16(p.Buf[4:], uint16(n-packet.IPv6HeaderLen))
	}
}

// putIPv4 changes the 16-bit word at an offset of an IPv4 header, and the header's checksum with
// it.
func putIPv4(b []byte, at int, v uint16) {
	const checksum = 10
	be := binary.BigEndian
	sum := packet.UpdateChecksum(be.Uint16(b[checksum:]), be.Uint16(b[at:]), v)
	be.PutUint16(b[checksum:], sum)
	be.PutUint16(b[at:], v)
}
