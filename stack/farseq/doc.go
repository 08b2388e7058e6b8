// Package farseq tells whether the far side of a host socket of TCP has sent bytes that have not
// come. It needs no packet of its own but a keepalive probe.
//
// A far side whose segments are all lost looks like one that is slow. But its ACKs tell: the
// sequence number of a segment without payload is SND.NXT (RFC 9293 §3.4), the number behind all
// that it has sent. Where the socket has come less far, bytes are missing. Three parts of Linux
// make it known:
//
//	origin     SO_TIMESTAMPING loops the socket's first packet back, with its headers, into its error
//	           queue: Own and Far, the numbers of the first byte of either side
//	question   a keepalive probe has the far side send an ACK
//	answer     a classic filter (SO_ATTACH_FILTER) drops this ACK if its number is too high, and
//	           SO_MEMINFO counts what it drops
//
// The filter drops ACKs without news alone, so the connection loses nothing.
//
// # Seen
//
// On Linux 6.18, over IPv4 and IPv6:
//
//   - TCP_REPAIR_WINDOW has the same number as snd_wl1, and TCP_REPAIR takes CAP_NET_ADMIN in the
//     user namespace of the socket's network, as TCP_AO_REPAIR does; a packet socket takes
//     CAP_NET_RAW. TCP_INFO, INET_DIAG and TCP_TIMESTAMP have none of either side's numbers, and
//     behind a pure ACK from beyond RCV.NXT they are as behind one that is not.
//   - SOF_TIMESTAMPING_TX_SCHED loops packets back as they come to the queue of the link, in the
//     call that writes them, with the header of the link. net.core.tstamp_allow_data, which is 1
//     unless the host says otherwise, allows it; where it is 0, or the packet waits, there is no
//     origin, and a hole looks like a slow server again. The packet's memory counts as received
//     until it is read, and while it is there epoll says EPOLLERR.
//   - A filter of a TCP socket gets segments from their TCP header on. Linux 6.18.44 lets a process
//     attach it with CAP_NET_ADMIN in the user namespace of the socket's network, else EPERM, and
//     any process detach it. So the routers of run and exec have their keeper attach it (package
//     sockets). Where the keeper cannot, in exec of an ordinary user, nothing is missing, as far as
//     Question knows.
//   - Linux answers a keepalive probe of the same connection at most every 500 ms
//     (tcp_invalid_ratelimit).
package farseq
