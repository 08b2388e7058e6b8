// Package tcpdump writes packets in tcpdump's notation, one line each, in the words of two of its
// releases: 3.7.2 (Classic) and 4.99.3 (Modern). It knows IP and TCP only: no link layer, no
// verdicts, no I/O.
//
// # Theory of operation
//
// Append is a function of one packet and equals tcpdump -n -S -t. A Printer adds the parts that
// depend on other packets: time stamps measured from an earlier line, and sequence numbers relative
// to the first ones, which it keeps for a bounded number of connections.
//
// Both dialects are written by the same walk along the headers:
//
//	packet ── ip4 ──┬── upper ──┬── segment ── options ── option, mptcp
//	   │            │           ├── ip4, ip6 (tunnels)
//	   └───── ip6 ── chain      └── gre
//
// Where they differ in words, both stand side by side in a call of words or in a table. Where they
// differ in thinking, there is a branch on the dialect, and three differences explain most of them:
//
//   - Modern cuts the capture off at the end of the IP packet (Ethernet padding is invisible), and
//     stops for good at the first header it cannot read. Classic reads padding as if it belonged to
//     the packet, reports missing bytes, continues, and always writes its notes on the IP header
//     (DF, tos, ttl) at the end.
//   - Classic does not question lengths. They are unsigned numbers of 32 bits that wrap, so a total
//     length that is too small turns into 4294967236 bytes of data. The code does the same with
//     uint32.
//   - Modern names the header that was cut (" [|tcp]", " [|ip]"), with a blank unlike Classic.
//
// Two lengths travel along: the announced one, n, by which tcpdump judges and counts, and the
// captured one, which is the length of the slice and bounds every read. No code here can read
// behind the capture, so the most that hostile bytes can make is a strange line, and maxLine ends
// that.
//
// # Not supported
//
// Both releases hand payload to printers for applications, chosen by port, even with -n (": HTTP";
// Classic replaces the whole line for NFS). That text is left out. Protocols other than TCP get
// Modern's form for an unknown one, " ip-proto-17 40".
//
// Where 3.7.2 prints bytes behind the capture (the last byte of an unknown option that was cut
// short, the sequence number of a cut authentication header), this package writes no bytes. On
// IPv6 3.7.2 keeps the two directions of a connection between equal ports apart
// if neither address is the greater one word by word; here there is one conversation. For clock
// times it takes the time zone's offset at its own start; here it is the offset at the time of the
// packet.
package tcpdump
