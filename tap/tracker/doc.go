// Package tracker follows each TCP three-way handshake from its first SYN to its verdict, and hands
// out a handshake.Record of it. It drops no packet and reads no clock.
//
// A Tracker alone takes the packets of a capture (Observe). Package tap wraps one with the rules of
// a live link: which SYN may begin a handshake, and which segment must not pass.
//
// # States
//
// A flow is a 4-tuple, without its VLANs. Its states are those of RFC 9293 and netfilter as an
// observer sees them; those in brackets are for wrappers.
//
//	state         begins with                    ends with                           outcome
//	SYNSent       SYN                            SYN-ACK, ISS < ack <= c_end         → SYNReceived
//	                                             SYN of the server, both acknowledged  established
//	                                             RST of the server, same ack         refused
//	                                             ICMP error that quotes the SYN      unreachable
//	                                             RST of the client, seq = ISS+1      aborted
//	                                             SYN with another number             no_reply
//	                                             time, end of the capture            no_reply
//	                                             [the dial was forbidden]            denied
//	SYNReceived   SYN-ACK                        third segment                       established
//	                                             RST of the server, seq = s_end      aborted
//	                                             RST of the client, seq = c_next     aborted
//	                                             answer to a challenged SYN          half_open
//	                                             time, end of the capture            half_open
//	Established   third segment                  FIN of both, or RST                 → none
//	                                             SYN: tentative, see below           → SYNSent
//	Closed        refused, unreachable,          time                                → none
//	              half_open                      SYN                                 → SYNSent
//	[Unanswered]  denied, no_reply               time                                → none
//	                                             SYN                                 → SYNSent
//	[Held]        a failure, while the wrapper   the wrapper says so, time           → none
//	              has an endpoint for the flow
//	Settling      in a capture: refused,         third segment                       established
//	              unreachable, aborted           silence of both ends for 10 s       that outcome
//	Early         in a capture: SYN-ACK          SYN                                 → SYNSent
//	              without a SYN                  other flows
//
// # Rules
//
// A handshake begins with a SYN; the client is its sender. The 4-tuple and the client's number
// identify it (flow.Key). The rules use these names, all modulo 2^32:
//
//	ISS     the SYN's number
//	c_end   ISS + 1 + data on the SYN (RFC 7413)
//	IRS     the number of the first acceptable SYN-ACK: ISS < ack <= c_end
//	c_next  its acknowledgment: the next number that the server expects
//	s_end   IRS + 1 + data on the SYN-ACK
//	s_next  s_end + other data that the server has sent already
//
// The third segment has IRS < ack <= s_next and ISS < seq <= c_end; it may carry data or FIN, and
// it may be any later one with that seq if the first was lost. A RST counts if its number is exact
// (RFC 5961): ISS+1 or c_next from the client, s_end or s_next from the server, and from a server
// that has not answered yet any that acknowledges the SYN. Some cases need further rules:
//
//   - A SYN with the same number is a retransmission, one with another number a new handshake.
//   - In SYNReceived a SYN with another number is challenged and changes nothing (RFC 5961 §4): the
//     server answers it with an ACK, which a client that has given up the first number answers with
//     a RST. The SYN counts if it is sent again after the handshake has ended, or if the server
//     answers it with SYN-ACK or RST.
//   - A SYN-ACK that acknowledges another number is shown and changes nothing, as does a second
//     SYN-ACK with another number.
//   - In Established a SYN is tentative. The peer usually answers with a challenge ACK, and then
//     there was no handshake. If the peer answers it as a new SYN, there is one. So the table keeps
//     connections until they close.
//   - After a SYN was refused or unreachable, the same SYN makes no second record unless a SYN-ACK
//     answers it: some clients send it several times for one connect.
//   - A RST, or a SYN with another number, that came before the third segment and ended nothing is
//     a conflict: it may be forged. The record of an established handshake names both kinds.
//   - Retransmissions make times ambiguous; those are then unknown (Karn, RFC 6298 §3).
//   - In a capture the ends of a flow have no order, and SYNs of both are a simultaneous open.
//
// # Captures
//
// A capture has faults that a link does not have: segments are missing, duplicated, reordered or
// forged. So a Tracker alone, whose Options.Live is false, has more rules:
//
//   - A segment with the same bytes from the IP header on, TTL and checksums aside, within 50 ms
//     of the first is a copy. Copies are counted and are no retransmissions.
//   - A later segment of the client completes a handshake whose third segment is missing, if it
//     acknowledges the server's SYN and its number is below the highest that the server has
//     acknowledged, or it has data within the window of the SYN-ACK. The confirmation may come
//     after it, so two FINs that acknowledge each other also complete it.
//   - Data of both ends that acknowledges the other's and continues the SYN replaces a missing
//     SYN-ACK.
//   - SYN-ACKs and later segments may precede their SYN, by a second or 1,000 segments. They are
//     shown after it.
//   - A verdict by a RST or an ICMP error settles when both ends have been silent for 10 s. Until
//     then a third segment makes it established, more answers to the same SYN are counted, and a
//     SYN with another number begins another handshake.
//   - A SYN with another number supersedes an unanswered handshake, which its own SYN-ACK and third
//     segment can still complete. At most 256 such handshakes of a flow are followed.
//   - If both ends have sent a SYN, and the number of the SYN-ACK or RST shows that this is no
//     simultaneous open, that number tells which SYN counts.
//   - Of SYN-ACKs with different numbers, the one that the client acknowledges counts: a server
//     with SYN cookies may choose another number each time.
//
// # The table
//
// Flows are sharded by a seeded hash. Each state has a list in each shard. All members of a state
// live equally long, so its list is ordered by deadline, and the cost of expiry and eviction does
// not depend on the number of flows. In a capture with too many handshakes the oldest ends early
// (Options.HalfOpen); with too many connections the oldest is forgotten (Limits). Stats counts
// both.
//
// Nearly all segments belong to flows without a handshake. A tuple.Filter, an array of counters
// indexed by the flow's hash, rules these out with one load: no lock, no allocation, no clock.
//
// # Locks
//
// A shard's lock guards its flows; the names of functions that need it end in Locked. No lock is
// held while a function that receives records or segments is called: events are queued in the
// shard, and the goroutine that unlocks it calls the functions, in order. Options.Linger and
// Counted are called with the lock held.
//
// # Memory of a record
//
// A handshake and its record are one allocation: offers, upstream, the first four segments and 232
// bytes of their headers. The headers of shown segments are copied as they are on the TUN. If the
// sender left the checksum to the hardware, the copy has it completed. At most 64 segments of a
// handshake are kept.
//
// # Limits
//
// Connections that exist only after reassembly are not seen. T/TCP is judged as TCP. Where a
// capture has one direction only, there is no handshake. A flow that was established before the
// first packet, or that has been evicted, is unknown: a SYN on it is an ordinary handshake.
package tracker
