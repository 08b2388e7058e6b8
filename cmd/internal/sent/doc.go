// Package sent compares the connections and flows that a router has sent, as the kernel has seen
// them, with those that it has announced and recorded. So a router that is taken over is found out.
//
// # Theory of operation
//
//	router                                     keeper
//	connect(2) ── announcement ── ring ──────▶ Announce ──╮
//	tap, stack ── record ──────── ring ──────▶ Connected, │
//	                                           Begun,     ├─▶ Tally ──▶ Found
//	  ╰─ packets ─▶ nftables ── NFLOG ───────▶ Kernel ────╯
//	                (package route)
//
// Rules of nftables log three kinds of packets of sockets that have the router's mark and the
// keeper's user, which the router can give to no socket: each SYN, the first segment with bytes of
// a connection, and the first packet of another flow. A label of the entry in connection tracking
// tells which was the first. The rules stand before those that translate destinations, so that they
// see what the socket has sent.
//
// Three statements hold of a router that is what it should be, at each of its packets:
//
//   - It has announced the connection that a SYN begins, by its destination.
//   - The record of a connection precedes its bytes: both ends of the router's socket are in it.
//   - The record of a datagram or echo precedes it: its destination is in it.
//
// A packet of which one does not hold is suspect. It is a finding when all is taken that was in the
// ring when it became suspect: the router says first and sends then, so that no delay, of either
// process or of the machine, makes a false one. Announcements go to the oldest of the suspects that
// have the same destination. A connection that sends no byte has to be on record within ten
// minutes, unless its router has ended, or no process has its socket any more.
//
// # No false finding
//
// A finding closes the host, so it has to be certain. Where either side may be as it is without
// that the router lies, nothing is said.
//
//   - A SYN that is sent again has the same sequence number.
//   - Connections have the ends of one before them when ports are few, at once where the far side
//     has closed. So their records are counted: the nth connection between two ends that sends
//     bytes has n records before it. One that has no record, such as one without an answer, may
//     leave its place to the record of another.
//   - Where the entry of a flow has expired, was flushed (conntrack -F) or has lost its label, its
//     next packet is logged again: the flow is still on record, or was lately; a connection whose
//     SYN was not seen is not judged.
//   - The packets of a tunnel of the kernel (IPsec, WireGuard, VXLAN) have the socket of the packet
//     within, but not its mark, which package route takes off where packets leave.
//   - Packets that another rule drops later are announced all the same. Those that a full table of
//     connection tracking drops never come to the rules. Off connection tracking (notrack) each SYN
//     is logged, and no datagram.
//   - The router's own connections, which measure black holes, are announced as such. They may go
//     where a connection on record has gone, beside connections of clients: which of them has sent
//     bytes is not asked. Of destinations only the last 65,536 at least are remembered; behind that
//     it is counted (Stats.Unjudged).
//   - The keeper's own connections, to the stores of a fleet, it announces itself ([Tally.Trust]).
//   - Where the log does not hold payload back and its ring was full, a record may be lost on its
//     way: what is missing within the next minute proves nothing. Where one was lost, nothing does
//     as long as that router lives. Both are counted (Stats.Unjudged).
//   - Clocks are monotonic, and decide only what is forgotten.
//
// Nothing is compared, from when that is noticed on, where another router on this host has the same
// mark, since the packets of both are logged to each; and where SYNs may be sent again from another
// address (net.ipv4.ip_dynaddr). Three things make false findings, which root alone can have done;
// with one of them set route.enforce to count:
//
//   - a program of the keeper's user that sets the mark, such as root's "ping -m 21337";
//   - a program of control groups that leads sockets elsewhere (BPF_CGROUP_INET4_CONNECT);
//   - a rule that changes destinations before connection tracking.
//
// A rule that changes marks before connection tracking hides packets from the comparison.
//
// # When a router is found out
//
// The log gets a finding of kind unrecorded, with the destination, after some 0.2 s: the kernel
// tells of 64 packets at once, or of those of 0.1 s, and a suspect waits for one look at the ring.
// With route.enforce: reject the keeper then does three things until the service is started again.
// It hands out no more sockets, and ends the router: the next one, which is the program as it was
// installed, shows by its page and its records what is wrong. It has nftables drop the packets that
// are logged: the router may have passed sockets to other processes, which the end of the router
// does not end.
//
// # Cost
//
// Of a flow of UDP on loopback, which takes 14 µs of processor time, a logged packet takes 1.6 to
// 4.6 µs more with all that follows in this package (Linux 6.18, a busy machine; up to 1.6 of them
// for the label). A connection has two such packets. NEW events of connection tracking took 9 to 12
// µs: each is a message of its own, of all connections of the host. Adding the flow to a dynamic
// set of nftables took 0.6 to 1.8 µs, without reading it: the keeper would read each element
// several times before it expires, and a set has no room for the sequence number of a SYN.
package sent
