// Package nat carries the datagrams and ICMP echo requests of clients on by sockets of the host,
// and brings the answers back. A [Router] is all it knows of the program around it: a place to
// write inbound frames to, and the MTU of a client's path.
//
// # Theory of operation
//
// A mapping (mapping.go) ties one client endpoint to one host socket (package hostsock). The table
// of mappings (package mappings) is the NAT. A client endpoint is an address and a port or, for
// echoes, an address and an identifier. The mapping does not depend on the destination, and any far
// end may answer (RFC 4787 §4.1, §5), so peer-to-peer programs work as without a router.
//
// Outbound (outbound.go): [NAT.UDP] and [NAT.Echo] take a parsed frame from the read loop. The
// dialer's policy determines the address to send to, and the host's routes the address to send from
// (routes.go). Client endpoint and source address determine the mapping, which is created if it
// does not exist. Its socket sends the payload (send.go). If it cannot, the client gets the ICMP
// error that a router would send (reject.go).
//
// Inbound (replies.go): the poller calls the mapping of a socket that is readable. Datagrams from
// one far end are gathered into one frame, and written with the client's name for that far end.
// Echoes differ as echo.go says.
//
// # Flows on record
//
// With [Options].Opened no datagram leaves before its flow's record is with the kernel. A flow
// (package flows) is the datagrams of a mapping to and from one far end, as the client addresses
// it. Each DNS query is a flow of its own that its response ends, so a log has every question with
// its answer. The datagram that begins a flow is held, with those behind it, until [NAT.Recorded].
// Then a goroutine of the NAT sends them in order. Later ones pass as soon as none is held, at the
// cost of two locks and one comparison: 2 % of a datagram's way out (BenchmarkUDP). A flow waits
// for its own record only. If the host has lost the mapping's address in the meantime, the
// datagrams begin a flow at another address.
//
// A flow that policy forbids, or to which the host has no route, is recorded once per lifetime of a
// mapping, however often the client tries (unsent.go). Datagrams from a far end that the client has
// not sent to begin no flow.
//
// A QUIC client's ClientHello is in the Datagram if its first frame contains it whole, and in the
// Flow if the following frames complete it.
//
// A client's port on this host may pass to another program. When a flow's client has sent nothing
// for a second, [Options].SameSender is asked. If another socket is sending, the flow ends, and
// policy and record start again.
//
// A flow ends with its mapping, or when it alone has been idle for the mapping's lifetime.
// [Options].Ended gets its packets and bytes both ways and its outcome: an answer, else an ICMP
// error. A frame is counted before it is sent, because its answer may come before the send returns.
// If the host does not send it, the count is taken back.
//
// # Rules
//
// The rules are asked once per flow (rulings.go). A flow keeps its ruling while it is in use, even
// if its address gets other names or the rules change. Policy on addresses is asked for each frame.
// If rules decide on names, Question is asked for each DNS query (question.go). A denied query is
// recorded and does not leave; the client gets [Options].Blocked. The NAT remembers the far ends
// that a client has sent to, because the rules need not let them send first.
//
// # Addresses and ports
//
// The socket is bound to the source address that the host's routes give. If some destinations of a
// client endpoint are behind a second uplink, it has a second mapping. [Options].KeepSource lets
// some clients keep their own address. The kernel chooses the port, so that no service of the host
// finds its own port taken, unless the client's is below 1024: some protocols require that. Echoes
// have an identifier of their own on the host's side. If the host grants no ping sockets
// (net.ipv4.ping_group_range, the default in a new network namespace), all echo mappings at an
// address share one raw socket (package rawecho), because the kernel copies each ICMP packet to
// each raw socket of its address.
//
// A mapping is open to the outside only. Datagrams that this host sends to it, and those from
// addresses that the client may not send to, do not reach the client, unless the client has sent
// there before.
//
// # Super-packets
//
// A GSO packet stays whole up to the host socket, behind which the kernel splits it (UDP_SEGMENT).
// While more frames wait to be read, datagrams that a client sends one by one are joined into one
// (package gso), and so are replies from one far end (replies.go): the way through the kernel costs
// the same for many as for one. A socket that brings many is read again after a short delay, as
// network cards coalesce interrupts. Its buffer holds the datagrams that come in between; the
// kernel drops and counts the rest.
//
// # Not a hop
//
// The router is not a hop. Hop limit, DSCP, ECN and DF of each datagram and echo cross unchanged in
// both directions (packet.Marks). An ICMP error of the network reaches the client from the address
// of its sender, with its remaining hop limit: the socket queues errors with a quote, from which
// the client's packet is rebuilt (icmperror.go). So a client that forbids fragments learns the path
// MTU from the network, or from the router if the host's own link is too small; [Options].DF
// overrides this. Datagrams that a client has fragmented are reassembled before they get here, and
// the host fragments them again as the path requires.
//
// Inbound IPv4 packets have no DF, so that the host and routers behind it may fragment them. IPv6
// packets are fragmented here, to the MTU of the client's path (fragment.go).
//
// # Our own packets
//
// If the host's rules fail, packets of our own sockets come back through the TUN, and each would
// open another socket. So a packet from the address and the port or identifier of such a socket is
// dropped. Datagrams for a client on this host cannot reach a socket of ours either: it never has
// the client's port.
//
// # Bounds
//
// mappings.Limits bound the table. One client address has at most PerSource mappings, the clients
// of an IPv6 /64 twice as many, and the programs of this host all but an eighth of the table
// (package mappings). A full group evicts the mapping that has been idle longest among those that
// are unanswered, of echoes, or done with DNS; it never evicts an answered one. A mapping ends when
// it has been idle for UDPTimeout or ICMPTimeout, and sooner if it was used for DNS only and has
// all answers.
//
// Each mapping is charged to limits.memory for itself, for datagrams that wait in its socket after
// the poller's turn, and for more than a few names of far ends (memory.go). If no memory is left,
// an unanswered mapping of the same client is evicted, else the packet is dropped. Small socket
// buffers bound the queues. A socket that the poller has not reached yet is charged later; all of
// them together stay within the kernel's net.ipv4.udp_mem. The buffer of a raw socket bounds the
// packets that wait in it; they are not charged. A mapping remembers at most 256 names of far ends,
// the NAT 4096 routes; beyond that they start anew. Every dropped packet is counted ([Stats]).
//
// A mapping has at most 1024 flows, and 4096 DNS queries without an answer; beyond that the
// longest-idle one ends. Each is charged. If no memory is left, one of the same mapping is evicted,
// else the packet is dropped. A flow holds at most 64 datagrams or 64 KiB, which are charged too,
// for five seconds. The NAT remembers as many recorded flows of which nothing left as it may have
// mappings, and PerSource for each client; the least recently used one is evicted.
//
// # Shards
//
// A router with several read loops has a NAT for each (shards.go). All mappings of a client
// endpoint belong to its home: the NAT that read its first datagram, until the last of its mappings
// ends. Each reader carries the frames of an endpoint through its home, with the home's locks, and
// looks the home up when the endpoint changes. The limits are common to all NATs (mappings.Places).
// When one is reached, a mapping of the same NAT is evicted first. Readers that create mappings at
// the same time may exceed a limit by one each. Every raw socket for echoes gets all replies, so
// each NAT has a part of the identifiers.
//
// # Names in QUIC
//
// With Options.Contradicts, the datagrams of a flow wait while a QUIC ClientHello is incomplete
// (flows/hello.go). One that asks for another name denies the flow: the waiting datagrams are
// dropped, and later ones are answered with ICMP. A client may open further connections from its
// port, so each of its Initial packets is checked for as long as the flow lasts. A version whose
// Initial packets cannot be read is denied; a client then falls back to another version, or to TCP.
//
// # Goroutines and locks
//
// The poller owns the state of the inbound side. NAT.carrying guards that of the outbound side and
// is taken before all other locks. The read loop carries frames, those of other NATs may, and
// [NAT.Serve] carries those that were held when the host lost an address. Serve has two goroutines:
// one ends idle mappings and flows, the other sends held datagrams. System calls on sockets are raw
// and do not block; the Go scheduler does not know of them.
//
// Package mappings has a lock for the table. mapping.mu guards the state of one mapping; its socket
// is closed with it held, and the socket's own lock is taken with it. Neither of the two is held
// while the other is taken. With mapping.mu held, only TakeMemory and GiveMemory of the Router are
// called.
//
// The goroutine that sends on a socket holds the lock Sending of the mapping's flows, which is
// taken before mapping.mu. The locks of package rawecho are taken with both held. Package flows
// documents its other locks; they are never held together with mapping.mu. Opened is called with
// NAT.carrying held, Answered without a lock, Ended perhaps with Sending.
package nat
