// Package tun stands between the router and the host: it moves IP frames through a TUN interface
// and changes the host so that traffic gets there. It knows nothing of TCP connections, and imports
// no other package of the program.
//
// # The link
//
// [Link] is what the router reads from and writes to; [Device] is the real one,
// [syntap/tun/tuntest.PipeEnd] one for tests, and the tap is a Link around another. A frame is what
// the kernel makes of a large write, a TCP super-segment of up to 64 KiB; [Offload], the virtio
// header that comes with it, tells what is still to be done: finish the checksum, cut it into
// packets. Nothing is cut or copied together here. Directions are the client's: outbound frames are
// read, inbound ones written.
//
// A frame comes from whoever may send into the interface, so its header may lie about its sizes.
// Such a frame is counted and dropped before anybody else sees it.
//
// # The host
//
// [Configure] brings the interface up and makes the changes that [HostConfig] draws; [Host.Watch]
// puts back what another program takes away, and [Host.Close] takes everything back, last made
// first. All of it is one list of steps: [Plan] prints it, and [Cleanup] takes it back for a run
// that could not. Three things hold at every moment:
//
//   - A packet of the router's own sockets never enters the TUN, not even when it has no other way.
//   - Routes exist before the rules that lead to them, and the rule that sends traffic in comes
//     last and goes first.
//   - Nothing is half made: a step that fails undoes those before it.
//
// # Which packets enter
//
// A packet first takes the way that the host's own rules and routes give it, so that its socket
// gets the same source address as without the router. Then the table of package nft decides
// (steer_linux.go), after all other chains of the hook. A packet that enters gets a mark, by which
// it is routed again, into the TUN.
//
// The decision falls with the first packet of a connection, and connection tracking keeps it, as a
// label. So it survives a change of the config, a socket that is closed, and marks that other
// chains set.
//
//   - Replies to connections that began outside stay outside, also forwarded, translated and UDP
//     ones (KeepInbound).
//   - A connection that both ends open at once (RFC 9293 §3.5) has entered with this host's SYN.
//     The other end's comes from outside, to the client's own socket; from the SYN-ACK with which
//     that answers on it stays outside (KeepInbound).
//   - Replies to what the router has brought, such as the first datagram of a peer, enter.
//   - ICMP errors follow the connection that they are about. Those of this host about packets that
//     enter go to the client.
//   - Packets of this host enter if their destination does, but not those of the router's sockets
//     and of routers' beside it, known by the socket's mark, of a VPN's sockets, known by the mark
//     that a rule of the host exempts, and of the kernel's own tunnels. Multicast, broadcasts, the
//     link-local addresses of IPv6 and offers of a DHCP server are the link's.
//   - Packets of other machines enter if their source is in Sources. Others enter if the host would
//     send them by an uplink and they did not come in by one: masquerading then gives them the
//     TUN's address, and the tap drops those that it did not.
//   - Connections that were open before stay as they are. Connection tracking may not have seen
//     their beginning, so those of this host are noted in a set. A packet in the middle of any
//     other connection of the host's clients enters: its entry was flushed. So does one of a client
//     in Sources, where connection tracking was at work before.
//
// Marks, labels and chains of others do not meet: the mark of packets that enter is one that no
// earlier rule selects by, a connection label is a single bit that nothing else clears, and packets
// that stay outside keep the marks they have. The mark of the router's own sockets is taken off
// before the chains of postrouting, which may test single bits.
//
// Reverse-path filters look the source of what comes out of the TUN up by its mark. It has that of
// packets that enter while the chains of prerouting run.
//
// The sockets of clients have the addresses of the host, as the router's have. They share its
// ports: a host can have half as many connections to one destination as without the router.
//
// # Past the TUN
//
// A packet that has the mark and leaves by another interface is dropped or counted, as Enforce
// says, and [Reports] tell which user it was: its socket was bound to the interface, or the rule
// that leads into the TUN was deleted and is not back yet. DHCP and queries to the host's
// nameservers pass, because their programs bind their sockets to a link. A rule of the host that
// comes before ours sends packets past the TUN, too; those are let through and counted, their
// answers come back the same way, and [Notices] names the rule. Frames that a bridge passes on
// between its ports pass, too, where netfilter sees them (br_netfilter, which Docker loads).
//
// # Without connection tracking
//
// With ByRules the source address decides. A socket that connects, or sends its first datagram,
// looks for a route first and takes its source from that: for the TUN's route, the TUN's address.
// So, with KeepInbound, a packet of this host that has a source which is not the TUN's goes on with
// the host's rules. That does not keep replies of a UDP server that is bound to no address, nor
// those of other machines behind this host, and a program that binds its socket to an address of
// the host stays outside.
//
// # When the router dies
//
// A process that was killed cannot undo. Its interface is gone at the same moment, and with it the
// routes to it. The nftables table stays. Without Closed the lookup of a packet with the mark falls
// through to the host's own routes. With Closed it finds, below the route to the TUN, one to a
// guard: a second TUN interface that belongs to no process and drops what it gets, which its
// counters show.
//
// An unreachable route would be simpler, and was tried. With ByRules it leaks with KeepInbound:
// where IPv6 finds no route without a source, it chooses a source and looks again (Linux,
// net/ipv6/ip6_output.c, ip6_dst_lookup_tail), and then looks like a reply.
//
// A journal, one for each interface name and network namespace, holds the config of every run that
// has not cleaned up, from which its steps follow. It is written before the first step. A lock on
// it tells the living from the dead. The next run takes over what it finds, step by step, before it
// removes what it has no use for, so that nothing slips by between them. Whatever else is at our
// priorities or in our table belongs to somebody else, and is refused before anything is changed.
//
// Only Linux is supported; elsewhere the package compiles and returns errors.
package tun
