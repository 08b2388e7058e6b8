// Package tap sees every TCP handshake of a link, exactly once, and lets no connection open past
// it.
//
// A Tap is a tun.Link over a tun.Link. The router reads and writes through it and does not know
// that it is there:
//
//	host ═══ tun.Link ═══ Tap ═══ router (netstack)
//	             ReadFrame ───►      outbound: from the client, into the router
//	             ◄─── WriteFrame     inbound: to the client
//
// It hands out a handshake.Record for each handshake; printing and keeping it is the work of others
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
//	live.track        may the segment pass; between its rules Shard.TrackLocked, the rules of
//	                  handshakes: shows segments, reaches verdicts
//
// Outbound frames are judged before the router gets them, inbound frames before the host does, so
// the tap's knowledge is never behind: a client cannot acknowledge a SYN-ACK that the tap has not
// seen.
//
// Over a link of several queues the tap has as many, which share all but their counters: the table
// is in parts, each with a lock, so that readers rarely meet. It does not matter by which queue the
// segments of a handshake come.
//
// # Frames that do not pass
//
// Netstack must not receive TCP that the tap has not parsed to the end, or a connection could open
// unseen. So these are dropped, and counted by reason (Stats.Drops):
//
//   - TCP in fragments, all of them. A whole header in the first fragment is not enough: netstack
//     would take the reassembled segment at the time of the last fragment, when the flow can be in
//     another state.
//   - TCP behind IPv6 extension headers that a host need not accept, or that leave no room for the
//     TCP header in the first tun.HeadSize bytes. Others are taken out, so that the router gets the
//     plain segment (unwrap.go).
//   - SYN with FIN or RST, which netstack takes for a SYN; lengths that lie; checksums that are
//     wrong.
//   - SYN-ACKs of a client. The router opens no connections towards clients, so such a segment is
//     a forgery.
//   - Segments of a client on a flow with a handshake, except SYNs, RSTs that count, and an
//     acceptable third segment. Netstack's Forwarder would take any segment with an ACK for the
//     third one. An established connection loses no segment by a SYN.
//   - ICMP errors of the client's side about TCP: netstack does not check them (RFC 5927), so a
//     forged "unreachable" would end its handshakes. "Fragmentation needed" and "packet too big"
//     pass, except in fragments or behind extension headers: the router compares them with the
//     packets that it has sent, and gives none to netstack.
//   - SYNs of new handshakes while Options.Admission lets none begin; with Refuse the client gets
//     an ICMP error.
//   - SYNs whose source no client may have, or is the destination; SYNs beyond the table's limits.
//   - SYNs with ever new numbers on a 4-tuple of which no connection comes (renewal.go): each would
//     make a record.
//   - SYNs and SYN-ACKs with options that cannot be parsed, and IPv4 fragments, where a rule
//     refuses them.
//
// Bytes behind the end of an IP packet are cut off. Packets other than TCP pass; df rules may
// change them.
//
// # Live rules
//
// Package tracker has the rules of handshakes; live adds those of a router that dials before it
// answers (live.go):
//
//   - SYNs count outbound only, SYN-ACKs inbound only.
//   - The router says when a connection is over (Forget): it knows which numbers count. A RST or
//     FIN of a client that does not know them changes nothing (RFC 5961).
//   - DialDone says how a dial ended, which decides between unreachable and denied. It also
//     confirms a SYN on a connection that the router has forgotten, and one that was challenged.
//   - A third segment without the timestamps that were agreed on completes nothing (RFC 7323 §3.2).
//
// # Rewriting
//
// The rules of Options.Rules change SYNs and SYN-ACKs (mss) and any IPv4 packet (df); see package
// policy. An outbound segment is shown, and judged, as the client sent it, and passes rewritten. An
// inbound one is rewritten first and shown as the client gets it. So a record has the segments that
// stood on the TUN, and Record.Rewrites lists the changes. Changed packets are counted (Stats), and
// each rule counts its changes (Tap.Rules); a SYN that a rule has changed and the table then
// refused counts for the rule only.
//
// A fragment that a rule refuses is answered with the TUN's MTU, a hundred times a second at most.
// Without df rules a packet other than SYN and SYN-ACK costs one test.
//
// A Replay does the same for a capture. It has no directions: outbound are the packets of the SYN's
// sender, or of the sender of the first packet between two ends. It names each packet that a rule
// would drop, and passes it.
//
// # Time, and the router's part
//
// Tap.Run ends a handshake as half_open Options.Timeout after its SYN-ACK. One without an answer
// ends with its dial (DialDone); if the router never says how that ended, it ends as no_reply after
// both timeouts.
//
// After a verdict the router may still be dialling, or its endpoint may wait for a third segment.
// Such a flow is held: no segment that could complete it passes until a RST, DialDone or Forget
// frees it, or netstack must have given up by itself.
//
// # Limits of the table
//
// Handshakes, held flows and connections together are limited in number, and for each client
// (Options.TCPFlows, TCPFlowsPerSource, sources.go): a SYN over the limit is dropped, for the
// client to send again. Readers of several queues may exceed a limit by one SYN each. No flow is
// evicted for another one.
//
// # Locks
//
// A shard's lock (package tracker), and under it that of sources. Functions of Options that
// receive records and segments are called without either.
//
// # Not supported
//
// Connections that exist only after reassembly are not possible. A connection that was open before
// the tap is unknown: a SYN on it is an ordinary handshake.
package tap
