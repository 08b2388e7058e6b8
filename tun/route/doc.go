// Package route changes the host so that its traffic enters a TUN interface, keeps those changes in
// place, and takes them back.
//
// [Configure] brings the interface up and makes the changes that [Config] draws. [Host.Watch]
// restores a change that another program has removed. [Host.Close] undoes all changes, the last one
// first. One list of steps stands behind all of these (step_linux.go): [Plan] prints it, and
// [Cleanup] undoes it for a run that was killed. Three rules hold at every moment:
//
//   - A packet of the router's own sockets never enters the TUN, even if it has no other way.
//   - Routes exist before the rules that lead to them, and rules before the nftables table that
//     marks packets for them. That table, or with ByRules the rule that sends traffic into the TUN,
//     is added last and removed first.
//   - No half-made state: a step that fails undoes the steps before it.
//
// # Which packets enter
//
// A packet first takes the way that the host's own rules and routes give it, so its socket gets the
// same source address as without the router. Then the nftables table decides (steer_linux.go),
// after all other chains of the hook. It marks a packet that enters, and the mark routes the packet
// again, into the TUN.
//
// The table decides on the first packet of a connection. Connection tracking keeps the decision, as
// a label. So the decision survives a change of the config, a closed socket, and marks that other
// chains set.
//
//   - Replies to connections that began outside stay outside, also forwarded, translated and UDP
//     ones (KeepInbound).
//   - A simultaneous open (RFC 9293 §3.5) has entered with this host's SYN. The peer's SYN comes
//     from outside, to the client's own socket. The connection stays outside from the SYN-ACK on by
//     which that socket answers (KeepInbound).
//   - A SYN is decided anew unless its connection enters. Connection tracking ignores a SYN that
//     does not fit the entry of an older connection with the same ends, such as one that its server
//     has reset (Linux, net/netfilter/nf_conntrack_proto_tcp.c, TCP_CONNTRACK_IGNORE). An entry
//     from before there were labels cannot be marked: the SYN is dropped until that entry is gone.
//   - Connection tracking still knows the datagrams of a socket when it is closed. By then another
//     socket may have its port: one of another user, or of a client instead of the router. So a
//     packet of the router's socket stays outside whatever the label says, and each datagram that
//     stays outside is decided anew.
//   - Replies to packets that the router has delivered, such as the first datagram of a peer,
//     enter.
//   - ICMP errors follow the connection that they report on. This host's own errors about packets
//     that enter go to the client.
//   - Packets of this host enter if their destination does. Excepted are sockets of this router and
//     of routers beside it, known by the socket's mark; sockets of a VPN, known by the mark that a
//     rule of the host exempts; the kernel's own tunnels; and OSPF, PIM, EIGRP and VRRP, by which
//     programs such as FRR and keepalived talk to neighbours. Multicast, broadcasts, IPv6
//     link-local addresses and offers of a DHCP server belong to the link.
//   - The answer of a server to a group or a broadcast comes from the host's address, so connection
//     tracking sees no reply in it. Sets note who has asked, and from which port: answers there, by
//     the port that was asked, stay outside for 30 s (KeepInbound).
//   - Connection tracking does not see packets for which a rule of the host says notrack. Each
//     segment and datagram among them is decided by itself: one from a port that the kernel gives
//     to no client may be a server's, and stays outside (KeepInbound). Nothing tells whether the
//     connection is older than the router.
//   - Packets that a transparent proxy of this host has taken (TPROXY, REDIRECT) are the proxy's.
//     The host's redirections are kept off the router's own sockets, whose packets would go in a
//     circle.
//   - Packets from the TUN go to this host, to Sources, and to machines that this host masquerades
//     and that have asked. To others they are dropped, and this host's errors about them enter: the
//     router would send past its own records.
//   - Packets of other machines enter if their source is in Sources. Any other enters if the host
//     would send it by an uplink and it did not arrive by one: masquerading then gives it the TUN's
//     address, and the tap drops packets that were not masqueraded.
//   - Connections that were open before stay as they are. Connection tracking may not have seen
//     their first packet, so a set notes those of this host, once all that begin are tracked. A
//     packet in the middle of any other connection of the host's clients enters: its entry was
//     flushed. So does one of a client in Sources, where connection tracking was at work before.
//
// Marks, labels and chains of other programs do not collide with the router's. The mark of packets
// that enter is one that no earlier rule selects by. A connection label is a single bit that no
// other program clears. Packets that stay outside keep their marks. The mark of the router's own
// sockets is removed before the chains of postrouting, which may test single bits.
//
// A host may put packets into zones of connection tracking, by the interface that they leave by or
// come in by. An answer from the TUN is put into the zone of the last packet that has entered with
// its addresses. The answer of another machine to a datagram may be in another zone than that, so a
// set notes who has asked, as for groups.
//
// A reverse-path filter looks up the source of a packet from the TUN by the packet's mark. Such a
// packet has the mark of packets that enter while the chains of prerouting run.
//
// A VPN guards its address: wg-quick drops packets to it that have come in by another interface,
// before connection tracking (CVE-2019-14899). Packets from the TUN are for clients with that
// address. So where a rule of the host exempts a VPN's mark, bits of their destination are inverted
// until then.
//
// The sockets of clients have the addresses of the host, as the router's have. They share its
// ports: a host can have half as many connections to one destination as without the router.
//
// # Past the TUN
//
// A packet with the mark that leaves by another interface is dropped or counted, as Enforce says,
// and [Report] names its user. Its socket was bound to the interface, or the rule that leads into
// the TUN was deleted and is not restored yet. DHCP and queries to the host's nameservers pass,
// also by TLS, because their programs bind their sockets to a link; [Report] names the user of the
// queries. Watch reads the nameservers every two seconds, since a host that changes networks gets
// others. A rule of the host before the router's own sends packets past the TUN, too. Those pass
// and are counted; their answers return the same way. [Notices] names the rule. Frames that a
// bridge forwards between its ports pass, too, where netfilter sees them (br_netfilter, which
// Docker loads).
//
// A rule that comes without a priority, such as wg-quick's, is put before all others by the kernel.
// The router's rules then move before it.
//
// # The router's own flows
//
// With Config.Sent a chain logs flows of the router's sockets to a group of NFLOG: each SYN, the
// first segment with bytes of each connection, and the first packet of each other flow. It does so
// before a translation of the host changes the destination (sent_linux.go). After [Host.Refuse] it
// drops them. The group has the number of Table; other programs may not listen to it.
//
// # Without connection tracking
//
// With ByRules the source address decides. A socket that connects, or sends its first datagram,
// looks up a route and takes its source address from it: for the TUN's route, the TUN's address.
// So, with KeepInbound, a packet of this host with any other source continues with the host's
// rules. That does not cover replies of a UDP server on the wildcard address, nor replies of other
// machines behind this host. A program that binds its socket to an address of the host stays
// outside.
//
// # When the router dies
//
// A process that was killed cannot undo its steps. Its interface disappears at the same moment, and
// with it the routes to it. The nftables table stays. Without Closed, the lookup of a packet with
// the mark falls through to the host's own routes. With Closed it finds, below the route to the
// TUN, a route to a guard: a second TUN interface that belongs to no process. The guard drops all
// packets, and its counters show them.
//
// An unreachable route would be simpler, and was tried. With ByRules it leaks with KeepInbound:
// where IPv6 finds no route without a source, it chooses a source and looks again (Linux,
// net/ipv6/ip6_output.c, ip6_dst_lookup_tail), and the packet then looks like a reply.
//
// A journal, one for each interface name and network namespace, holds the config of every run that
// has not cleaned up. The steps follow from the config. The journal is written before the first
// step, and a lock on it shows that its process lives. The next run takes over the changes of a
// dead one, step by step, before it removes the rest: so no packet slips by between them.
//
// Any other rule at the router's priorities, or another table of its name, has another owner.
// Configure refuses to start then, before it changes anything, and names free numbers. It also
// refuses where a journal has anything but configs. [CleanupAs] then undoes the steps of a config
// that the operator names.
//
// The package is for Linux; its plain types build everywhere.
package route
