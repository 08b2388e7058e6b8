// Package policy holds the rules for the MSS option and the don't-fragment bit, compiled, and
// applies them to the headers of one packet. It knows no flows: the tap calls it for packets, the
// router for its host sockets.
//
// # Theory of operation
//
// [Compile] turns the rules of a config into [Rules], which never change: to reload a config,
// compile new ones and swap the pointer. In each of the two lists the first rule that matches
// decides, even if it leaves the packet unchanged. A rule matches by client, server, server port,
// family and direction; client and server keep their names in both directions. A rule never applies
// if an earlier one shadows it, that is, matches every packet that it matches ([Rules.ShadowedMSS],
// [Rules.ShadowedDF]).
//
// [Rules.RewriteMSS] takes SYN and SYN-ACK, [Rules.RewriteDF] takes any packet; without a df rule,
// [Rules.HasDF] is the only cost of a packet. Both change bytes in place, report each change as a
// [Rewrite], and return a [Verdict]; the caller drops and answers. They allocate nothing while the
// caller's slice for the changes has room.
//
// A router that terminates connections has two legs, and a clamp on the client's leg has no effect
// on the other. [Rules.UpstreamMSS] and [Rules.UpstreamDF] apply the same rules to the host socket
// of a flow.
//
// Checksums are updated incrementally (RFC 1624), so a wrong one stays wrong. If the kernel has
// left the checksum of a frame to the receiver, the field holds the sum of the pseudo-header, which
// changes only with the length of the segment.
//
// # MSS
//
// The model is Linux's TCPMSS target (net/netfilter/xt_TCPMSS.c), and a test compares the packets
// with those of a kernel. The value is never raised. A number is the same for IPv4 and IPv6; the
// path MTU is the lesser of the TUN's and the path's, and gives the MSS of [packet.MTU.MSS]. A
// missing option is added as the first one, if the rule says so, the segment has no payload and its
// header stays within 60 bytes. Without the option the sender would have assumed 536 or 1220
// (RFC 9293 §3.7.1), so the added one has the lesser of that and the clamp.
//
// The list of options is walked as Linux does, past the end of the list as most receivers read it.
// Bytes behind that end are padding to them, and a receiver that reads on finds no larger value
// either. With Malformed = Drop a rule drops lists with an option whose length is below 2 or ends
// beyond the header. An MSS option whose length is not 4 is not malformed; receivers skip it, and
// so do the rules.
//
// Differences from Linux 6.18:
//
//   - Every MSS option is clamped, Linux clamps the first. It is undefined which of several counts;
//     Linux and BSD take the last.
//   - The checksum is right if the value stands at an odd offset, as behind one NOP. Linux computes
//     it as if the offset were even, in TCPMSS and in nft, and the receiver drops such a SYN.
//   - No fragment is touched. Linux leaves later ones alone, but rewrites a first fragment that
//     holds the header.
//   - A segment with an impossible data offset passes as it is, because the tap refuses it anyway.
//     Linux drops it. Linux also drops a segment if the path MTU has no room for payload; here that
//     sets no bound.
//
// The statement "tcp option maxseg size set" of nft differs from TCPMSS itself: it adds no option,
// and looks at the first MSS option whatever its length.
//
// # DF
//
// Set and clear apply to every IPv4 packet: TCP, UDP, ICMP, fragments, and GSO packets, whose
// packets inherit the bit. A packet without the bit may be fragmented on its way, and receivers
// match fragments by identification. Senders set it to zero along with DF, so clearing the bit
// draws another (RFC 6864 §4.1). Fragments keep theirs.
//
// Enforce is set, and fragments of the client are refused: the first one with the verdict [TooBig],
// the others with [Drop], because only a first fragment may be answered (RFC 1122 §3.2.2). Later
// fragments show no port, so a rule with ports does not match them.
package policy
