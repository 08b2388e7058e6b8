package packet

// MTU is the length in bytes of the longest IP packet that a link or path carries.
type MTU int

// MSS is the length in bytes of the longest payload of a TCP segment.
type MSS int

// MSS returns the payload of a segment that fills the MTU, with IP and TCP headers that have no
// options (RFC 9293 §3.7.1): the MTU less 40 bytes in IPv4, less 60 in IPv6. It is between 0 and
// 65535, as the option can say.
func (m MTU) MSS(v6 bool) MSS {
	headers := MTU(IPv4HeaderLen + TCPHeaderLen)
	if v6 {
		headers = IPv6HeaderLen + TCPHeaderLen
	}
	return MSS(min(max(0, m-headers), 0xffff))
}
