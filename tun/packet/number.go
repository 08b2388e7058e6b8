package packet

// Protocol numbers, which are also those of IPv6 extension headers (IANA "Assigned Internet
// Protocol Numbers").
const (
	ProtoHopByHop   = 0
	ProtoICMP       = 1
	ProtoTCP        = 6
	ProtoUDP        = 17
	ProtoRouting    = 43
	ProtoFragment   = 44
	ProtoAH         = 51
	ProtoICMPv6     = 58
	ProtoDestOpts   = 60
	ProtoExperiment = 253 // RFC 4727 §2.1
)

// Lengths of headers in bytes, without options.
const (
	IPv4HeaderLen     = 20 // RFC 791 §3.1
	IPv6HeaderLen     = 40 // RFC 8200 §3
	FragmentHeaderLen = 8  // of IPv6, RFC 8200 §4.5
	TCPHeaderLen      = 20 // RFC 9293 §3.1
	UDPHeaderLen      = 8  // RFC 768
	ICMPHeaderLen     = 8  // of errors and echo messages, RFC 792, RFC 4443 §2.1
)

// Flags of TCP (RFC 9293 §3.1, RFC 3168 §6.1).
const (
	FIN uint8 = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Offsets in a TCP header (RFC 9293 §3.1).
const (
	TCPDataOffset = 12
	TCPFlags      = 13
	TCPChecksum   = 16
)

// Types of ICMP messages and, below a type, its codes (RFC 792, RFC 1191 §4, RFC 1812 §5.2.7.1).
const (
	ICMPEchoReply           = 0
	ICMPUnreachable         = 3
	ICMPNetUnreachable      = 0
	ICMPHostUnreachable     = 1
	ICMPPortUnreachable     = 3
	ICMPFragmentationNeeded = 4
	ICMPProhibited          = 13
	ICMPSourceQuench        = 4
	ICMPRedirect            = 5
	ICMPEchoRequest         = 8
	ICMPTimeExceeded        = 11
	ICMPParameterProblem    = 12
)

// Types of ICMPv6 messages and, below a type, its codes (RFC 4443). Types below ICMPv6EchoRequest
// are errors.
const (
	ICMPv6Unreachable        = 1
	ICMPv6NoRoute            = 0
	ICMPv6Prohibited         = 1
	ICMPv6AddressUnreachable = 3
	ICMPv6PortUnreachable    = 4
	ICMPv6PacketTooBig       = 2
	ICMPv6TimeExceeded       = 3
	ICMPv6ParameterProblem   = 4
	ICMPv6EchoRequest        = 128
	ICMPv6EchoReply          = 129
)
