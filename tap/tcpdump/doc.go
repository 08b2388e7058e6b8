// Package tcpdump prints packets exactly as tcpdump does, one line each, in the notation of two
// releases: 3.7.2 (Classic) and 4.99.3 (Modern). It knows IP and TCP only: no link layer, no
// verdicts, no I/O.
//
// # Theory of operation
//
// Append is a function of one packet and equals tcpdump -n -S -t. A Printer adds the parts that
// depend on other packets: time stamps measured from an earlier line, and sequence numbers relative
// to the first ones, which it keeps for a bounded number of connections.
//
// Both dialects share one walk along the headers:
//
//	packet ── ip4 ──┬── upper ──┬── segment ── options ── option, mptcp
//	   │            │           ├── ip4, ip6 (tunnels)
//	   └───── ip6 ── chain      └── gre
//
// Where they differ in words, both are arguments of one call of words, or columns of a table. Where
// they differ in logic, the code branches on the dialect. Three differences explain most branches:
//
//   - Modern cuts the capture off at the end of the IP packet (Ethernet padding is invisible), and
//     stops for good at the first header it cannot read. Classic reads padding as part of the
//     packet, reports missing bytes, continues, and always appends its notes on the IP header (DF,
//     tos, ttl).
//   - Classic does not check lengths. They are unsigned 32-bit numbers that wrap around, so a total
//     length that is too small becomes 4294967236 bytes of data. The code does the same with
//     uint32.
//   - Modern names the header that was cut (" [|tcp]", " [|ip]"), with a blank unlike Classic.
//
// Two lengths are passed along: the announced one, n, which tcpdump checks and prints, and the
// captured one, which is the length of the slice and bounds every read. No code can read beyond the
// capture, so the worst effect of hostile bytes is a strange line, whose length maxLine bounds.
//
// # Not supported
//
// Both releases print application payload by port, even with -n (": HTTP"; Classic replaces the
// whole line for NFS). This package omits that text. Protocols other than TCP get Modern's form for
// an unknown one, " ip-proto-17 40".
//
// 3.7.2 prints bytes from beyond the capture in two cases (the last byte of a truncated unknown
// option, the sequence number of a truncated authentication header). This package prints none. On
// IPv6, 3.7.2 treats the two directions of a connection between equal ports as two conversations if
// neither address is greater word by word; here they are one. It prints clock times with the time
// zone's offset at its own start; this package uses the offset at the time of the packet.
package tcpdump
