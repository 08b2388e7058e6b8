// Package capture reads pcap and pcapng files and writes pcapng files. It takes link headers apart,
// so that its packets begin with the IP header as frames of a TUN do.
//
// # Theory of operation
//
// A Reader goes over the file once, from front to end, in pieces no larger than one packet, so that
// a pipe will do. The first four bytes tell pcap from pcapng. Both formats come down to the same
// step: read the next packet's time, link type, captured bytes and length on the wire; then
// decodeLink finds the network layer in the captured bytes.
//
//	pcap:   head | packet | packet | …             one byte order, one link type
//	pcapng: section | interface | packet | …       each section has a byte order, each interface
//	        section | …                            a link type, a time unit and a time offset
//
// Everything in a file may be a lie. A length field is believed only up to the limit of libpcap
// (256 KiB a packet) or as far as the bytes really come; a block must end where it says, with its
// length repeated there. A file that is cut short, as one of a capture that still runs or died,
// gives all its whole packets before the error that names the place.
//
// A frame that is too short for its link header is a packet like any other, with an empty network
// layer. A link type this package does not know is an error in a pcap file, because then none of
// the packets can be read; in a pcapng file packets of such an interface are passed over and
// counted. A file that is compressed with gzip or zstd is read as its content.
//
// Packet.Inner takes a tunnel off a packet, and Packet.Unread names frames and tunnels that are not
// looked into. It is all that this package reads of IP.
//
// A Writer makes one section with one interface. It writes each packet by one Write, so a file
// opened for appending never holds half a packet that the process had finished; a new section
// behind the old ones is how pcapng files grow, from AppendOffset on.
//
// Notation hands a packet to package tcpdump, with tcpdump's words for the link layer.
//
// # Why not a library
//
// Package pcapgo of gopacket reads the same formats, and the tests hold this package against it. It
// was not taken into the product because it lets a packet of pcapng reach beyond its block into the
// next one, does not compare the two lengths of a block, takes a data part that is missing entirely
// for the proper end of a pcap file, converts time stamps of binary resolution inexactly and those
// of whole seconds as microseconds, does not say how far it has come, and brings gopacket's
// protocol tables with it.
package capture
