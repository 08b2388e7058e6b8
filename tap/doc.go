// Package tap sees every TCP handshake of a link exactly once, and lets no connection open unseen.
//
// A Tap is a tun.Link that wraps another one. The router reads and writes through it, and does not
// know that it is there:
//
//	host ═══ tun.Link ═══ Tap ═══ router (netstack)
//	             ReadFrame ───►      outbound: from the client, into the router
//	             ◄─── WriteFrame     inbound: to the client
//
// It hands out a handshake.Record for each handshake, which other packages print and store
// (tap/tcpdump, tap/capture). A Replay does the same for a capture.
//
// # Theory of operation
//
// A frame passes these steps:
//
//	tun.Device        parses the headers (tun/packet); a problem is a reason to drop the frame
//	segment.verify    checksums that nothing has verified yet (outbound)
//	Tap.admit         may the client send a SYN from that address (outbound)
//	Tracker.Concerns  can the segment matter to a handshake
//	segment.rewrite   mss and df rules (tap/policy), if there are any
//	live.track        may the segment pass; calls Shard.TrackLocked, which has the rules of
//	                  handshakes, shows segments and reaches verdicts
//
// Outbound frames are judged before the router gets them, inbound frames before the host does. So
// the tap is never behind: a client cannot acknowledge a SYN-ACK that the tap has not seen.
//
// Over a link of several queues there is a Tap for each. They share everything but their counters.
// The table of handshakes has many parts with a lock each, so that readers rarely meet. The
// segments of a handshake may come by different queues.
//
// # Dropped frames
//
// Netstack must not receive TCP that the tap has not parsed completely, or a connection could open
// unseen. So the tap drops these frames, and counts them by reason (Stats.Drops):
//
//   - TCP in fragments, always. A whole header in the first fragment is not enough: netstack would
//     process the reassembled segment when the last fragment arrives, and the flow's state may have
//     changed by then.
//   - TCP behind IPv6 extension headers that a host need not accept, or that leave no room for the
//     TCP header in the first tun.HeadSize bytes. Other extension headers are removed, so that the
//     router gets the plain segment (unwrap.go).
//   - SYNs with FIN or RST, which netstack takes for a SYN; wrong lengths; wrong checksums.
//   - SYN-ACKs from a client. The router opens no connections to clients, so such a segment is
//     forged.
//   - Segments from a client on a flow with a handshake, except SYNs, RSTs that count, and an
//     acceptable third segment. Netstack's Forwarder would accept any segment with an ACK as the
//     third one. A SYN on an established connection costs it no segment.
//   - ICMP errors from the client's side about TCP. Netstack does not check them (RFC 5927), so a
//     forged "unreachable" would end its handshakes. "Fragmentation needed" and "packet too big"
//     pass, unless fragmented or behind extension headers: the router compares them with the
//     packets that it has sent, and gives none to netstack.
//   - SYNs of new handshakes while Options.Admission forbids them. With Refuse the client gets an
//     ICMP error.
//   - SYNs from a source that no client may have, or that is also the destination; SYNs beyond the
//     limits of the table.
//   - SYNs with ever new numbers on a 4-tuple that never gets connected (renewal.go): each would
//     make a record.
//   - SYNs and SYN-ACKs with unreadable options, and IPv4 fragments, if a rule refuses them.
//
// Bytes beyond the end of an IP packet are cut off. Packets other than TCP pass; df rules may
// change them.
//
// # Live rules
//
// Package tracker has the rules of handshakes. The type live (live.go) adds those of a router that
// dials before it answers:
//
//   - SYNs count outbound only, SYN-ACKs inbound only.
//   - The router reports the end of a connection (Forget), because it knows which numbers count. A
//     RST or FIN from a client that does not know them changes nothing (RFC 5961).
//   - The result of a dial (DialDone) decides between unreachable and denied. It also confirms a
//     SYN on a connection that the router has forgotten, and a SYN that was challenged.
//   - A third segment without the agreed timestamps completes nothing (RFC 7323 §3.2).
//
// # Rewriting
//
// The rules of Options.Rules change SYNs and SYN-ACKs (mss) and any IPv4 packet (df); see package
// policy. An outbound segment is shown and judged as the client sent it, and passes rewritten. An
// inbound one is rewritten first, and shown as the client gets it. So a record has the segments as
// they are on the TUN, and Record.Rewrites lists the changes. Stats counts changed packets, and
// each rule counts its changes (Tap.Rules). If a rule has changed a SYN that the table then
// refuses, only the rule counts it.
//
// A fragment that a rule refuses is answered with the TUN's MTU, at most a hundred times a second.
// Without df rules, a packet other than SYN and SYN-ACK costs one test.
//
// A capture has no directions, so in a Replay outbound packets are those of the sender of the SYN,
// or of the first packet between two ends. A Replay reports each packet that a rule would drop, and
// passes it.
//
// # Timeouts and the router
//
// Tap.Run ends a handshake as half_open when Options.Timeout has passed since its SYN-ACK, in which
// the time does not count for which this process has not run, and not before it has read all frames
// that had come by then. A handshake without an answer ends with its dial (DialDone). If the router
// never reports the dial, the handshake ends as no_reply after both timeouts.
//
// After a verdict the router may still be dialling, or its endpoint may wait for a third segment.
// Such a flow is held: no segment that could complete the handshake passes before a RST, DialDone
// or Forget frees the flow, or netstack must have given up.
//
// # Limits of the table
//
// Handshakes, held flows and connections together are limited, in total and for each client
// (Options.TCPFlows, TCPFlowsPerSource, sources.go). A SYN over the limit is dropped; the client
// will send it again. Readers of several queues may exceed a limit by one SYN each. No flow is
// evicted for another.
//
// # Locks
//
// The lock of a shard (package tracker) and, taken with it held, that of sources. The functions of
// Options that receive records and segments are called with neither.
//
// # Not supported
//
// Connections that exist only after reassembly are not possible. The tap does not know connections
// that opened before it started: a SYN on one is an ordinary handshake.
package tap
