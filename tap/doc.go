// Package tap sees every TCP handshake of a link, exactly once, and lets nothing open a connection
// past it.
//
// A Tap is a tun.Link over a tun.Link. The router reads and writes through it and does not know
// that it is there:
//
//	host ═══ tun.Link ═══ Tap ═══ router (netstack)
//	             ReadFrame ───►      outbound: from the client, into the router
//	             ◄─── WriteFrame     inbound: to the client
//
// A Tracker alone does the same for the packets of a capture. Both hand out a Record for each
// attempt to open a connection; to print or to keep it is others' work (tap/tcpdump, tap/capture).
//
// # Theory of operation
//
// A frame passes these steps:
//
//	segment.parse     where the headers are, the flow's key, the numbers; a reason if the router must not have it
//	segment.verify    checksums, where nobody has verified them (outbound)
//	Tap.admit         may the client send a SYN from that address (outbound)
//	Tracker.concerns  can the segment matter to an attempt
//	segment.rewrite   mss and df rules (tap/policy), where there are any
//	Tracker.track     the rules of attempts: shows segments, reaches verdicts, may refuse the segment
//
// Outbound frames are judged before the router gets them, inbound frames before the host does, so
// the tap's knowledge is never behind: a client cannot acknowledge a SYN-ACK that the tap has not
// seen.
//
// # What does not pass
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
//   - SYN-ACKs of a client. The router opens nothing towards clients, so such a segment is a
//     forgery.
//   - Whatever a client sends to a flow with an open attempt and is neither a SYN, nor a RST that
//     counts, nor an acceptable third segment. Netstack's Forwarder would take any segment with an
//     ACK for the third one. A connection that is established loses nothing by an attempt.
//   - ICMP errors of the client's side about TCP, whose contents netstack believes unchecked (RFC
//     5927): a forged "unreachable" would end its handshakes. "Fragmentation needed" and "packet
//     too big" pass, but for those in fragments or behind extension headers: the router compares
//     them with what it has sent, and gives none to netstack.
//   - SYNs of new attempts while Options.Admission lets none begin; with Refuse the client is told
//     (ICMP).
//   - SYNs whose source no client may have, or is the destination; SYNs that the table has no place
//     for.
//   - SYNs with ever new numbers on a 4-tuple that gets nothing established (renewal.go): each
//     would make a record.
//   - SYNs and SYN-ACKs with options that cannot be parsed, and IPv4 fragments, where a rule
//     refuses them.
//
// Bytes behind the end of an IP packet are cut off. What is not TCP is none of the tap's business
// but for df rules.
//
// # Attempts and their rules
//
// An attempt begins with a SYN; the client is who sent it. It is identified by the four-tuple and
// the client's number (Key). The rules use these names, all modulo 2^32:
//
//	ISS     the SYN's number
//	c_end   ISS + 1 + data on the SYN (RFC 7413)
//	IRS     the number of the first acceptable SYN-ACK: ISS < ack <= c_end
//	c_next  its acknowledgment: what the server expects next
//	s_end   IRS + 1 + data on the SYN-ACK
//	s_next  s_end + what else the server has sent already
//
// The third segment has IRS < ack <= s_next and ISS < seq <= c_end; it may carry data or FIN, and
// it may be any later one with that seq when the first was lost. A RST counts when its number is
// exact (RFC 5961): ISS+1 or c_next from the client, s_end or s_next from the server, and from a
// server that has not answered yet any that acknowledges the SYN. The diagram above Tracker has the
// rest. What is peculiar:
//
//   - The same SYN again is a retransmission, one with another number a new attempt.
//   - Between SYN-ACK and third segment a SYN with another number changes nothing (RFC 5961 §4):
//     the server answers it with a challenge ACK, and a client that has given the first number up
//     resets that. The SYN counts when it comes again after the end, when the server answers it
//     with SYN-ACK or RST, or when the router dials for it.
//   - A SYN-ACK that acknowledges something else is shown and changes nothing; a second one with
//     another number likewise.
//   - After established a SYN is tentative: the peer usually answers with a challenge ACK, and
//     there was no attempt. It becomes one when it is answered as a SYN, or dialled for. So
//     established flows are remembered until they close, at most Options.TCPFlows of them. In a
//     capture two FINs or a RST close one. Live that is for the router to say (Forget): it knows
//     which numbers count, and whoever knows the 4-tuple alone can do nothing (RFC 5961).
//   - The same SYN again, after it was refused or found unreachable, makes no second record unless
//     a SYN-ACK comes of it: some clients send it several times for one connect.
//   - Retransmissions make times ambiguous; those are then unknown (Karn, RFC 6298 §3).
//
// Live, segments have directions: SYNs count outbound only, SYN-ACKs inbound only. A capture has
// none; there the two ends of a key are in order, SYNs of both mean a simultaneous open, and flows
// of different VLANs differ.
//
// # Rewriting
//
// The rules of Options.Rules change SYNs and SYN-ACKs (mss) and any IPv4 packet (df); package
// policy says how. An outbound segment is shown, and judged, as the client sent it, and goes on
// rewritten. An inbound one is rewritten first: shown is what the client gets. So a record has what
// stood on the TUN, and Record.Rewrites what became of it. Counted are the changed packets (Stats)
// and what each rule has done (Tap.Rules); a SYN that a rule has changed and the table then refused
// counts for the rule only.
//
// A fragment that a rule refuses is answered with the TUN's MTU, a hundred times a second at most.
// Where there is no df rule a packet other than SYN and SYN-ACK costs one test.
//
// A Replay does the same for a capture. It has no directions: outbound is what the sender of the
// SYN sends, or of the first packet between two ends. What a rule would drop it names and passes
// on.
//
// # Time, and the router's part
//
// A capture knows no timeouts: what is open ends with Tracker.Flush. Live, Tap.Run ends an attempt
// as half_open Options.Timeout after its SYN-ACK. One without an answer ends when the router says
// how its dial ended (DialDone), which also decides between unreachable and denied; if the router
// never says, it ends as no_reply after both timeouts.
//
// A verdict does not always mean that the router is done. It may be dialling, or its endpoint may
// wait for a third segment. Such a flow is held: nothing that could complete it passes, until a
// RST, DialDone or Forget frees it, or netstack must have given up by itself.
//
// # The table
//
// Flows are sharded by a seeded hash. Every class of flows has a list in each shard; since all its
// members live equally long, the list is in the order of their deadlines, and expiry and eviction
// cost the same however many there are. Live, attempts, held and established flows together are
// limited in number, and for each client (Options.TCPFlows, TCPFlowsPerSource, sources.go): a SYN
// over the limit is dropped, for the client to send again. In a capture attempts are
// (Options.HalfOpen), and the oldest one ends early.
//
// Nearly all segments belong to flows without an open attempt. For those a filter, an array of
// counters indexed by the flow's hash, answers with one load that nothing is to be done: no lock,
// no allocation, no clock.
//
// Locks: a shard's mu, and under it that of table.sources. Neither is held while a function of
// Options is called: events are queued in the shard, and whoever holds its delivering flag calls
// the functions, in order.
//
// # Memory of a record
//
// An attempt and its record are one allocation: offers, upstream, the first four segments and 256
// bytes of their headers. Shown segments are copied, headers only, as they stand on the TUN; where
// the sender left the checksum to others it is completed in the copy. Of a segment repeated without
// end 64 are kept.
//
// # Limits
//
// Connections that exist only after reassembly are not seen in captures, and not possible live.
// T/TCP is judged as TCP. A flow that was established before the tap began, or that
// Options.TCPFlows made it forget, is unknown: a SYN on it is an ordinary attempt.
package tap
