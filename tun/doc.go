// Package tun stands between the router and the host: it moves IP frames through a TUN interface and changes the host so
// that traffic gets there. It knows nothing of TCP connections, and imports no other package of the program.
//
// # The link
//
// [Link] is what the router reads from and writes to; [Device] is the real one, [syntap/tun/tuntest.PipeEnd] one for tests,
// and the tap is a Link around another. A frame is what the kernel makes of a large write, a TCP super-segment of up to
// 64 KiB; [Offload], the virtio header that comes with it, tells what is still to be done: finish the checksum, cut it into
// packets. Nothing is cut or copied together here. Directions are the client's: outbound frames are read, inbound ones
// written.
//
// A frame comes from whoever may send into the interface, so its header may lie about its sizes. Such a frame is counted
// and dropped before anybody else sees it.
//
// # The host
//
// [Configure] brings the interface up and adds the routes and rules that [HostConfig] draws; [Host.Watch] puts back what
// somebody else takes away, and [Host.Close] takes everything back, last made first. All of it is one list of steps: [Plan]
// prints it, and [Cleanup] takes it back for a run that could not. What holds at every moment:
//
//   - A packet of the router's own sockets, which carry a mark, never enters the TUN, not even when it has no other way: an
//     unreachable rule stands before the one that leads into the table of the TUN.
//   - Routes exist before the rules that lead to them, and the rule that sends traffic in comes last and goes first.
//   - Nothing is half made: a step that fails undoes those before it.
//
// # Replies of the host's servers
//
// A session with a server of the host, such as the operator's ssh, must not be cut when 0.0.0.0/0 enters the TUN. A reply
// differs from what the host begins in one thing that a rule can see: it has a source address already. A socket that
// connects, or sends its first datagram, looks for a route first and takes its source from that: for the TUN's route, the
// TUN's address. From then on its packets are known by it. So, with KeepInbound, a packet of this host that has a source
// which is not the TUN's goes on with the host's rules. That needs neither connection tracking nor a packet filter, and no
// care when addresses come and go, while the router is dead included. The reverse-path filter asks the same question, where
// an answer to this packet would go, so that a strict one does no harm either. Connections that the host had open before
// stay outside as well, and so are not cut.
//
// The price: a program that binds its socket to another address of the host stays outside too, just as one that binds it to
// an interface. What this does not keep: replies of a UDP server that does not say from which address (it should be bound
// to one, or use IP_PKTINFO), and those of other machines behind this host, containers too, whose ports it forwards.
//
// # When the router dies
//
// A process that was killed cannot undo. Its interface is gone at the same moment, and with it the routes to it. Without
// Closed the lookup falls through to the host's own routes. With Closed it finds, below the route to the TUN, one to a
// guard: a second TUN interface that belongs to no process and drops what it gets, which its counters show.
//
// An unreachable route would be simpler, and was tried. It leaks with KeepInbound: where IPv6 finds no route without a
// source, it chooses a source and looks again (Linux, net/ipv6/ip6_output.c, ip6_dst_lookup_tail), and then has the looks
// of a reply. For IPv4 it would take in sockets bound to an interface, while the router is alive too, among them those of
// systemd-resolved.
//
// A journal, one for each interface name and network namespace, holds the config of every run that has not cleaned up, from
// which its steps follow. It is written before the first step. A lock on it tells the living from the dead. The next run
// takes over what it finds, step by step, before it removes what it has no use for, so that nothing slips by between them.
// Whatever else is at our priorities or in our table belongs to somebody else, and is refused before anything is changed.
//
// Only Linux is supported; elsewhere the package compiles and returns errors.
package tun
