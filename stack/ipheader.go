//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"
)

// ipHeader is what the router needs to know of a packet's IP header.
type ipHeader struct {
	v6       bool
	len      int   // bytes before the transport header
	total    int   // bytes of the packet, by its own word
	proto    uint8 // of what follows the header
	fragment bool
	extended bool // IPv6 with extension headers: proto is the first one's
}

// parse fills h from the first bytes of a packet of n bytes and reports whether the header is whole
// and honest.
func (h *ipHeader) parse(head []byte, n int) bool {
	if len(head) < 20 {
		return false
	}
	switch head[0] >> 4 {
	case 4:
		h.v6, h.len, h.total, h.proto = false, int(head[0]&15)*4, int(binary.BigEndian.Uint16(head[2:])), head[9]
		h.fragment = binary.BigEndian.Uint16(head[6:])&0x3fff != 0 // MF or an offset
		h.extended = false
	case 6:
		if len(head) < 40 {
			return false
		}
		h.v6, h.len, h.total, h.proto = true, 40, 40+int(binary.BigEndian.Uint16(head[4:])), head[6]
		h.fragment = h.proto == 44
		h.extended = h.proto == 0 || h.proto == 43 || h.proto == 60 // hop-by-hop, routing, destination options
	default:
		return false
	}
	return h.len >= 20 && h.len <= h.total && h.total <= n && h.len <= len(head)
}

// addrs returns the addresses as they stand in the header.
func (h *ipHeader) addrs(head []byte) (src, dst []byte) {
	if h.v6 {
		return head[8:24], head[24:40]
	}
	return head[12:16], head[16:20]
}

func (h *ipHeader) srcAddr(head []byte) netip.Addr {
	a, _ := h.addrs(head)
	ip, _ := netip.AddrFromSlice(a)
	return ip
}

func (h *ipHeader) dstAddr(head []byte) netip.Addr {
	_, a := h.addrs(head)
	ip, _ := netip.AddrFromSlice(a)
	return ip
}

// src returns the source address and, from the TCP or UDP header that begins transport, its port.
func (h *ipHeader) src(head, transport []byte) netip.AddrPort {
	return netip.AddrPortFrom(h.srcAddr(head), binary.BigEndian.Uint16(transport))
}

// dst is src for the destination.
func (h *ipHeader) dst(head, transport []byte) netip.AddrPort {
	return netip.AddrPortFrom(h.dstAddr(head), binary.BigEndian.Uint16(transport[2:]))
}

// hopLimit returns where the header has its hop limit, or time to live.
func (h *ipHeader) hopLimit(head []byte) *byte {
	if h.v6 {
		return &head[7]
	}
	return &head[8]
}
