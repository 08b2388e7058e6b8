// Package packet reads and writes the headers of IP packets: IPv4, IPv6 with its extension headers,
// TCP, and the parts of UDP and ICMP that the router uses. It is the only parser of the program's
// data path. A frame is parsed once, where it enters the process; the tap and the stack read the
// same [Headers], so they cannot disagree about it.
//
// # Reading
//
// [Headers.Parse] takes the first bytes of a packet and the packet's length. It allocates nothing
// and keeps no reference: Headers hold offsets and values, and methods that need bytes take them as
// an argument, which is called head.
//
// Parse serves captures and a router, which differ in what they take. It reads on as long as the
// bytes can be read, and says in [Headers.Problem] why a router must not accept the packet. A
// Problem concerns the whole packet if it is Malformed, and only TCP otherwise: the router's own
// stack reassembles fragments and walks extension headers of other protocols, but a segment whose
// header could be read in two ways is no way in.
//
// The extension headers are those of RFC 8200 §4, AH and the experimental header 253. Others, ESP
// among them, end the walk: they are the upper layer.
//
// # Writing
//
// [IP.Put] writes an IP header, [ICMPError] makes the answer to a packet that goes no further. The
// checksum functions follow RFC 1071 and RFC 1624.
//
// # Why not a library
//
// gopacket allocates for each layer. gVisor's header package has types over byte slices, but no
// walk that finds the upper layer of a packet and the reasons to refuse it. The tests compare this
// parser with gopacket's layers, and tap tests it against netstack.
package packet
