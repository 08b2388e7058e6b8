// Package policy holds the rules for the MSS option and the don't-fragment bit, compiled, and
// applies them to the header bytes of one packet. It knows nothing of flows: the tap asks it about
// packets, the router about its host sockets.
//
// # Theory of operation
//
// [Compile] turns the rules of a config into [Rules], which never change: whoever reloads a config
// compiles new ones and swaps the pointer. In each of the two lists the first rule that matches
// decides, also when it says that nothing is to be done. A rule matches by client, server, server
// port, family and direction; client and server keep their names in both directions. What an
// earlier rule matches entirely never applies ([Rules.ShadowedMSS], [Rules.ShadowedDF]).
//
// [Rules.RewriteMSS] takes SYN and SYN-ACK, [Rules.RewriteDF] takes any packet, and where there is
// no df rule [Rules.HasDF] is all that a packet costs. Both change bytes in place, report each
// change as a [Rewrite], and leave it to the caller to drop and to answer: they return a [Verdict].
// They allocate nothing while the caller's slice for the changes has room.
//
// A router that terminates has two legs, and a clamp on the client's cures nothing on the other.
// [Rules.UpstreamMSS] and [Rules.UpstreamDF] say what the same rules mean for the host socket of a
// flow.
//
// Checksums are updated incrementally (RFC 1624), so one that was wrong stays wrong. In a frame
// whose checksum the kernel has left to us the field holds the sum of the pseudo-header, which
// changes with the length of the segment only.
//
// # MSS
//
// The model is Linux's TCPMSS target (net/netfilter/xt_TCPMSS.c), and a test compares the bytes
// with what a kernel makes of them. The value is never raised. A number is the same for IPv4 and
// IPv6; the path MTU is the least of the TUN's and the path's, less 40 or 60 bytes. A missing
// option is added as the first one, if the rule asks for that, the segment has no payload and its
// header stays within 60 bytes: then the sender would have assumed 536 or 1220 (RFC 9293 §3.7.1),
// so the option says the clamp or that, whichever is less.
//
// The list of options is walked as Linux does, on behind what ends it for a receiver: what stands
// there is padding to a receiver that stops, and one that reads on finds no larger value either. A
// rule can have malformed lists dropped instead: an option with a length below 2 or beyond the
// header. An MSS option of another length than 4 is no such thing; receivers skip it, and so do the
// rules.
//
// What differs from Linux 6.18, and why:
//
//   - Every MSS option is clamped, Linux clamps the first. Which one of several counts is
//     undefined, and Linux and BSD take the last.
//   - The checksum is right where the value stands at an odd offset, as behind one NOP. Linux
//     computes it as if the offset were even, in TCPMSS and in nft, and the receiver drops such a
//     SYN.
//   - No fragment is touched. Linux leaves later ones alone, but rewrites a first fragment that
//     holds the header.
//   - A segment whose data offset cannot be passes as it is, because the tap refuses it anyway.
//     Linux drops it. It also drops a segment when the path MTU has no room for more than headers;
//     here that is no bound.
//
// The statement "tcp option maxseg size set" of nft differs from TCPMSS itself: it adds no option,
// and looks at the first MSS option whatever its length.
//
// # DF
//
// Set and clear do the same to every IPv4 packet: TCP, UDP, ICMP, fragments, super-segments, whose
// pieces inherit the bit. A packet without the bit may be fragmented on its way, and pieces are put
// together by their identification, so where clearing finds the zero that senders use along with DF
// it draws another (RFC 6864 §4.1). Fragments keep theirs.
//
// Enforce is set, and fragments of the client are refused: the first one with the verdict [TooBig],
// the others with [Drop], because only a first fragment may be answered (RFC 1122 §3.2.2). Later
// fragments show no port, so a rule with ports does not match them.
package policy
