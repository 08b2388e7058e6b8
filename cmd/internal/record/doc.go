// Package record is the form of a JSON log's records: their Go types, the one [Writer] that writes
// them and the one [Line] that reads members of them where they stand.
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
// The types have the members of a record in the order in which the Writer writes them, so that
// encoding/json makes the same bytes of a decoded record; a test holds them together, and the keys
// that the live page reads. The Writer itself does not fill them: it appends from the router's own
// types, and allocates nothing.
//
// What is known of a client besides its packets, its program and its name of the server, is an
// [Opening]: the router makes it for the record by which a connection or flow begins, and hands it
// back with the end, whose record repeats it. A log keeps in it the number of that first record,
// which the record of the end names (handshake_seq, datagram_seq). So no table ties the two
// together, and nothing is left of a flow whose end is lost.
//
// Records of a live router name their [Run]. Those of captures depend on the capture alone.
//
// Package schema below has the same for other programs, configs/records.md for people; tests hold
// all three together. A new key or type of record goes into each, and raises the schema's version.
//
// # Segments
//
// The segments of a handshake stand in a record twice: as the lines that tcpdump prints for them in
// its modern notation, and as data. A segment's hdr holds the bytes of its headers, so that
// [AppendText] prints it in either notation exactly as the tap did. The other members say the same
// for programs that read no headers:
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
// Four more are for packets of captures: wire, the bytes of the packet where that is not the length
// in its IP header; ethertype, where it does not fit the IP version; vlans, the tags; prefix, the
// text of tcpdump for the link layer in its classic and its modern notation. Where a TCP header
// lies behind the bytes that are kept, flags, seq, win and opts are absent.
//
// # Reading
//
// A reader of a million records needs a handful of members of each. [Line] goes over a line
// once, checks that it is JSON (RFC 8259), and notes where its members stand; nothing is decoded.
// Of a member that stands there twice the last one counts, as with encoding/json and jq.
package record
