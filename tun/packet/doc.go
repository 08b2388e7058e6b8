// Package packet reads and writes the headers of IP packets: IPv4, IPv6 with its extension headers,
// TCP, and the parts of UDP and ICMP that the router uses. It is the only parser on the program's
// data path. A frame is parsed once, when it enters the process. The tap and the stack read the
// same [Headers], so they cannot disagree about it.
//
// # Reading
//
// [Headers.Parse] takes the first bytes of a packet and the packet's length. It allocates nothing
// and keeps no reference: Headers hold offsets and values, and methods that need bytes take them as
// the argument head.
//
// Parse serves captures and a router, which accept different packets. It reads on as long as it
// can, and reports in [Headers.Problem] why a router must not accept the packet. The problem
// Malformed concerns the whole packet, all others only TCP: the router's own stack reassembles
// fragments and walks the extension headers of other protocols, but must not accept a TCP segment
// whose header can be read in two ways.
//
// The extension headers are those of RFC 8200 §4, AH and the experimental header 253. Others, such
// as ESP, end the walk: they are the upper layer.
//
// # Writing
//
// [IP.Put] writes an IP header. [ICMPError] makes the answer to a packet that cannot be forwarded.
// The checksum functions follow RFC 1071 and RFC 1624.
//
// # Why not a library
//
// gopacket allocates for each layer. gVisor's header package has types over byte slices, but no
// walk that finds a packet's upper layer and the reasons to refuse it. The tests compare this
// parser with gopacket's layers, and tap tests it against netstack.
package packet
