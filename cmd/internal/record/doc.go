// Package record defines the records of a JSON log: their Go types, the [Writer] that writes them,
// and [Line], which reads single members without decoding the rest.
//
// # Types
//
//	msg        Go type      written from
//	handshake  [Handshake]  [Attributed]: a handshake at its verdict
//	datagram   [Datagram]   [AttributedDatagram]: a flow without a handshake begins
//	flow       [Flow]       [AttributedFlow]: a connection or flow is over
//	finding    [Finding]    something that the router has found out by itself
//	gap        [Gap]        records are missing here
//	end        [End]        the run has ended in order
//
// The members of the types have the order in which the Writer writes them, so encoding/json
// reproduces a decoded record byte for byte. A test compares the types, the Writer, and the keys
// that the live page reads. The Writer does not use these types: it appends from the router's own
// types, and allocates nothing.
//
// An [Opening] is everything known of a client besides its packets: its program, and its name for
// the server. The router makes it for the record by which a connection or flow begins, and passes
// it on with the end, whose record repeats it. A log stores the number of the first record in it,
// so that the record of the end can refer to it (handshake_seq, datagram_seq). So no table connects
// the two, and nothing is left of a flow whose end is lost.
//
// Records of a live router name their [Run]. Those of captures depend on the capture alone.
//
// Package schema has the JSON Schema of the records, and configs/records.md the description for
// people; tests compare all three. A new key or type of record goes into each, and raises the
// schema's version.
//
// # Segments
//
// A record has the segments of a handshake twice: as the lines that tcpdump prints for them in its
// modern notation, and as data. A segment's hdr has the bytes of its headers, from which
// [AppendText] prints it in either notation exactly as the tap did. The other members are for
// programs that read no headers:
//
//	at_us   microseconds since the record's time
//	dir     outbound (from the client) or inbound
//	flags   tcpdump's letters, "S", "S.", ".", "R."; "none"
//	seq     as in the header (RFC 9293 §3.1), like ack, which is absent without the flag, and win
//	len     bytes of payload
//	opts    kinds of the TCP options in their order (IANA "TCP Option Kind Numbers")
//	df      the Don't Fragment bit, IPv4 only
//	ttl     or hop limit
//	hdr     IP and TCP header in hex, at most the first 512 bytes
//
// Four more are for packets of captures: wire, the bytes of the packet if they differ from the
// length in its IP header; ethertype, if it contradicts the IP version; vlans, the tags; prefix,
// tcpdump's text for the link layer in classic and modern notation. If a TCP header lies beyond the
// stored bytes, flags, seq, win and opts are absent.
//
// # Reading
//
// A reader of a million records needs only a few members of each. [Line] scans a line once, checks
// that it is JSON (RFC 8259), and notes where its members are, without decoding any. If a member
// occurs twice the last one counts, as in encoding/json and jq.
package record
