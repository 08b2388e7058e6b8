package packet

// Marks are the fields of an IP header that a router passes on unchanged.
type Marks struct {
	HopLimit uint8
	TOS      uint8 // DSCP and ECN (RFC 2474 §3, RFC 3168 §5); the traffic class of IPv6
	Whole    bool  // must not be fragmented: DF of IPv4; in IPv6, the packet came unfragmented
}
