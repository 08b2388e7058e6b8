//go:build linux

package nat

// marks are the fields of an IP header that a router passes on. They cross unchanged in both
// directions: outbound as options of the host socket, set anew where they differ from those of the
// datagram before (IPv4 has no control message for all of them), inbound as control messages.
type marks struct {
	hopLimit uint8
	tos      uint8 // DSCP and ECN (RFC 2474 §3, RFC 3168 §5); the traffic class of IPv6
	whole    bool  // must not be fragmented: DF of IPv4; in IPv6, the packet came unfragmented
}

// marks returns those of a frame.
func (f *Frame) marks() marks {
	if f.v6() {
		tos := f.Head[0]<<4 | f.Head[1]>>4
		return marks{hopLimit: f.Head[7], tos: tos, whole: !f.Reassembled}
	}
	return marks{hopLimit: f.Head[8], tos: f.Head[1], whole: f.Head[6]&0x40 != 0}
}
