// Package capture reads pcap and pcapng files and writes pcapng files. It removes link headers, so
// that its packets begin with the IP header like the frames of a TUN.
//
// # Theory of operation
//
// A Reader reads the file once, from front to end, in pieces no larger than one packet, so it can
// read a pipe. The first four bytes distinguish pcap from pcapng. Both formats come down to the
// same step: read the next packet's time, link type, captured bytes and length on the wire. Then
// decodeLink finds the network layer in the captured bytes.
//
//	pcap:   head | packet | packet | …             one byte order, one link type
//	pcapng: section | interface | packet | …       each section has a byte order, each interface
//	        section | …                            a link type, a time unit and a time offset
//
// Everything in a file may be false. A length field is believed up to the limit of libpcap (256 KiB
// a packet) and as far as the bytes exist. A block must end where it says, with its length repeated
// there. A truncated file, such as that of a running or killed capture, yields all its whole
// packets before the error that names the place.
//
// A frame that is too short for its link header is an ordinary packet with an empty network layer.
// An unknown link type is an error in a pcap file, because it makes every packet unreadable. In a
// pcapng file, packets of such an interface are skipped and counted. A file compressed with gzip or
// zstd is read as its content.
//
// Packet.Inner removes a tunnel from a packet, and Packet.Unread names frames and tunnels that are
// not decoded. This package reads no more of IP than that.
//
// A Writer makes one section with one interface. It writes each packet with one Write, so a file
// opened for appending never holds half of a packet that the process had finished. A pcapng file
// grows by a new section behind the old ones, from AppendOffset on.
//
// Notation hands a packet to package tcpdump, with tcpdump's words for the link layer.
//
// # Why not a library
//
// Package pcapgo of gopacket reads the same formats, and the tests compare this package with it.
// The product does not use it because it
//
//   - lets a pcapng packet extend beyond its block into the next one, and does not compare the two
//     lengths of a block,
//   - takes a missing data part for the proper end of a pcap file,
//   - converts time stamps of binary resolution inexactly, and those of whole seconds as
//     microseconds,
//   - does not report how far it has read, and
//   - brings gopacket's protocol tables with it.
package capture
