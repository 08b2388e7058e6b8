// Package pathmtu measures the path MTU to a host and back as TCP sees it, with ordinary sockets:
// no privilege, no raw socket. A black hole is a way on which packets above a size vanish without
// the ICMP message that would have the sender make smaller ones.
//
//	up    climb     segments of ascending sizes on one connection ──> cumulative acknowledgment
//	down  ask       connections that announce ascending MSS       <── segments that come, or none
//	icmp  askICMP   UDP with DF and rising TTL                    <── the socket's error queue
//
// pair.go compares the logs of both ends instead. search.go, protocol.go, result.go and report.go
// decide; the files for Linux have the sockets.
//
// # Up
//
// Each write is one segment, of a size less than the kernel's MSS: MSG_EOR keeps the kernel from
// joining them, in the queue and in retransmissions. The payload begins a message in the port's
// protocol and does not end it, so the server reads it and answers nothing; where the protocol is
// unknown it is spaces without an end of line. The sizes ascend, so that bytes_acked stops before
// the first that does not pass. Two small segments follow. Where these alone are acknowledged
// selectively, and the retransmission that this causes is not acknowledged within a round trip and
// a half, the size is lost; where a larger segment is acknowledged too, the loss was chance. Two
// retransmission timeouts are enough in any case. Six sizes at a time find one of 220 in three
// rounds. At the end the smallest size that failed is tried twice more: loss that looked like size
// does not survive that. One connection has to carry the size below it as well, so that several
// paths (ECMP) of which one is narrow make no size between them: sizes that pass on some
// connections and fail on others, time and again, are said to disagree.
//
// # Down
//
// A conversation with an MSS of 536 bytes finds the protocol and the time that the server takes.
// Then each size is a connection that announces it as MSS. A size passes when a segment comes that
// fills it. It fails where the question is acknowledged, nothing more comes for the time of one
// retransmission, of three and 2.5 s for the last word, and twice the server's own time, and the
// answer is incomplete: HTTP by its length, TLS by its handshake, SSH by its KEXINIT. A ClientHello
// with ML-KEM keys would itself be a packet of full size, and stick where the way up is the narrow
// one; this one has none. Where many segments of one smaller size come, the server has a reason for
// it, such as ICMP that it received: that size passes and none is known to fail. An
// answer that comes in small pieces for long tells nothing.
//
// A connection that does not open within two round trips has others tried beside it, as its SYN may
// be lost: in a lab with 10 % loss each way that halves the time, to 6 s at most.
//
// Both ways begin with connections that are opened before any probe, the way up with three. After
// ICMP Linux announces no higher MSS than fits the path MTU, in SYN and in SYN-ACK, so one way
// would bound the other. The first round of a search tries the smallest size that has failed again.
//
// # TCP_INFO
//
// Seen in a chain of namespaces with a router that drops packets above 1400 bytes both ways and
// sends no ICMP, on Linux 6.18, in the same way over IPv4 and IPv6:
//
//   - IP_PMTUDISC_PROBE has UDP send with DF and ignore the path MTU known. TCP over IPv4 then
//     sends without DF, the router fragments, and all sizes pass. So TCP has IP_PMTUDISC_DO here,
//     with which it takes ICMP's word: tcpi_snd_mss falls.
//   - TCP_MAXSEG before connect bounds both the MSS of the SYN and that of segments sent. On an
//     open connection it changes neither.
//   - tcpi_advmss, tcpi_snd_mss and tcpi_rcv_mss are payload: the MSS less the 12 bytes of
//     timestamps.
//   - tcpi_rcv_mss begins at 536 and rises to the longest segment that came, in order or not:
//     behind the hole of three lost segments it was the 656 bytes of the fourth.
//   - tcpi_bytes_acked counts the SYN. A segment that is lost by its size leaves it at 1;
//     tcpi_unacked is 1, tcpi_retransmits and tcpi_backoff count timeouts (1 after 0.4 s, 2 after
//     0.8, 3 after 1.6), and tcpi_total_retrans is one more, for the tail loss probe.
//   - In a hole of the way down bytes_acked covers the question, bytes_received stays 0, and
//     tcpi_rcv_ooopack is 1 where the last segment is short, else 0.
package pathmtu
