// Package nat carries the datagrams and ICMP echo requests of clients on by sockets of the host,
// and brings the answers back. It knows the router around it as a [Router]: a place to write
// inbound frames to, and the MTU of a client's path.
//
// # Theory of operation
//
// A mapping (mapping.go) ties one client endpoint to one host socket (package hostsock); the table
// of them is the NAT (package mappings). A client endpoint is an address and port or, of echoes, an
// address and identifier. The mapping does not depend on the destination, and every far end may
// answer (RFC 4787 §4.1, §5): peer-to-peer programs work as without a router.
//
// A frame's way out (outbound.go). [NAT.UDP] and [NAT.Echo] take a parsed frame from the read loop.
// The dialer's policy gives the address to send to, the host's routes the address to send from
// (routes.go), and both ends the mapping, which is made where there is none. The socket sends the
// payload (send.go); where it cannot, the client gets the ICMP error that a router would send
// (reject.go).
//
// A datagram's way back (replies.go). The poller calls the mapping of a socket that has something
// to read. Datagrams from one far end are gathered into one frame, and written with the client's
// name for that far end. The part of echoes in all this stands in echo.go.
//
// # Flows on record
//
// With [Options].Opened no datagram leaves before the kernel has a record of its flow. A flow
// (package flows) is the datagrams of a mapping to and from one far end, as the client addresses
// it; each DNS query is one of its own, which its response ends, so that a log has every question
// and answer. A datagram that begins a flow is held, and so are those behind it, until
// [NAT.Recorded]. A goroutine of the NAT then sends them in order; later ones pass as soon as none
// is held, at the cost of two locks and one comparison: 2 % of a datagram's way out (BenchmarkUDP).
// A flow waits for its own record alone. If the host has lost the mapping's address meanwhile, the
// datagrams begin a flow at another one.
//
// A flow that policy forbids, or that the host has no route for, is on record once in the time of a
// mapping, however often the client tries (unsent.go). Datagrams from a far end that the client has
// not sent to begin no flow.
//
// A QUIC client's ClientHello is in the Datagram if its first frame has it whole, and in
// the Flow if those that follow complete it.
//
// The port of a client on this host may become another program's. When a flow's client has sent
// nothing for a second, [Options].SameSender is asked: where another socket sends, the
// flow ends, and policy and record begin anew.
//
// A flow ends with its mapping, or when it is idle for as long although others of its mapping are
// not. [Options].Ended gets its packets and bytes both ways and its outcome: an answer, else an
// ICMP error. A frame is counted before it is sent, since its answer may come before the send
// returns, and the count is taken back where the host does not send it.
//
// # Rules
//
// The rules are asked once a flow (rulings.go): while it is in use it keeps their ruling, whatever
// names its address has later, and whatever rules come into force. Policy on addresses is asked for
// each frame. Where the rules decide on names, so is Question for each DNS query (question.go). One
// that is denied is on record and does not leave; the client gets [Options].Blocked. Far ends that
// a client has sent to are remembered, since the rules need not let them send first.
//
// # Addresses and ports
//
// The socket is bound to the address that the host's routes give as source: a client endpoint has a
// second mapping where a second uplink leads to some of its destinations. [Options].KeepSource
// gives some clients their own address. The kernel chooses the port, so that no service of the host
// finds its own taken, unless the client's is below 1024: far ends of some protocols require that.
// Echoes have an identifier of their own on the host's side. Where the host grants no ping sockets
// (net.ipv4.ping_group_range, by default in a new network namespace), all echo mappings at an
// address share one raw socket (package rawecho): the kernel copies each ICMP packet to each raw
// socket of its address.
//
// A mapping is open to the outside alone. Datagrams that this host sends to it, and those from
// where the client may not send, do not reach the client, unless the client has sent there before.
//
// # Super-packets
//
// A GSO packet crosses as such: the kernel cuts it behind the host socket (UDP_SEGMENT). Datagrams
// that a client sends one by one are joined into one while there are more to read (package gso),
// and so are replies from one far end (replies.go): the way through the kernel costs the same for
// many as for one. A socket that brings many is read once more after a moment, as network cards
// coalesce interrupts. The socket's buffer holds the datagrams that come in between; the kernel
// drops and counts the rest.
//
// # No hop
//
// The router is no hop. Hop limit, DSCP, ECN and DF of each datagram and echo cross unchanged, both
// ways (packet.Marks), and an ICMP error of the network reaches the client under the address of its
// sender, with the hop limit that it has left: the socket queues errors with a quote, and the
// client's packet is rebuilt from that (icmperror.go). So a client that forbids fragments gets the
// path MTU from the network, or from the router where the host's own link is too small;
// [Options].DF overrules it. Datagrams that a client has fragmented are put together before they
// come here, and the host cuts them again as the path demands.
//
// Inbound IPv4 packets go without DF, so that the host and routers behind it may fragment them;
// IPv6 packets are fragmented here, to the MTU of the client's path (fragment.go).
//
// # Our own packets
//
// Where the host's rules fail, packets of our own sockets come back in the TUN, and each would open
// another socket. So a packet from the address, and the port or identifier, of one is dropped. Nor
// may datagrams for a client on this host come to a socket of ours: it never has the client's port.
//
// # Bounds
//
// mappings.Limits bound the table. One client address has at most PerSource mappings, the clients
// of an IPv6 /64 twice as many, the programs of this host all but an eighth of the table (package
// mappings). In a full group the mapping gives way that has been idle longest of those that are
// unanswered, of echoes, or done with DNS; an answered one stays. A mapping ends when it is idle
// for UDPTimeout or ICMPTimeout; one that was used for DNS alone, and has all answers, ends sooner.
//
// Each mapping is charged to limits.memory for itself, for datagrams that wait in its socket after
// a turn of the poller, and for more than a few names of far ends (memory.go). Where that is used
// up, an unanswered mapping of the same client gives way, else the packet is dropped; queues are
// bounded by small socket buffers. A socket that the poller has not come to yet is charged later;
// all of them are within the kernel's net.ipv4.udp_mem. What waits in a raw socket is bounded by
// its buffer, and not charged. A mapping remembers at most 256 names of far ends, the NAT 4096
// routes; beyond that they begin anew. Every dropped packet is counted ([Stats]).
//
// A mapping has at most 1024 flows, and 4096 DNS queries without an answer: beyond that the one
// ends that has been idle longest. Each is charged; where no memory is left, one of the same
// mapping gives way, else the packet is dropped. A flow holds at most 64 datagrams or 64 KiB, which
// are charged too, for five seconds. As many flows as there may be mappings are remembered as on
// record though nothing left, and PerSource for each client; the one that was used longest ago
// gives way.
//
// # Shards
//
// A router with several read loops has a NAT for each (shards.go). The mappings of a client
// endpoint are at one of them, its home: the one that has read its first datagram, until the last
// of its mappings ends. Each reader carries the frames of an endpoint by its home, with the locks
// of that, and asks for the home when another endpoint's frame comes. The limits are those of all
// together (mappings.Places); where one is reached, a mapping of the same NAT gives way first.
// Readers that make mappings at the same time may exceed a limit by one each. Raw sockets for
// echoes have a part of the identifiers for each NAT, since all get all replies.
//
// # Names of QUIC
//
// With Options.Contradicts, the datagrams of a flow wait while a ClientHello of QUIC is not whole
// (flows/hello.go). One that asks for another name denies the flow: those that wait are dropped,
// and later datagrams are answered with ICMP. A client may begin other connections from its port,
// so each of its Initial packets is looked at as long as the flow lasts. A version whose Initial
// packets cannot be read is denied; a client then falls back to another, or to TCP.
//
// # Goroutines and locks
//
// The poller owns the state of the way back. NAT.carrying guards that of the way out, and is taken
// before all other locks: the read loop carries frames, those of other NATs may, and [NAT.Serve]
// carries those that were held when the host lost an address. Serve has two goroutines: one ends
// idle mappings and flows, the other sends what was held. System calls on sockets do not block and
// are made raw, without notice to the Go scheduler.
//
// Package mappings has a lock for the table, mapping.mu guards the state of one mapping; its socket
// is closed with it held, and the socket's own lock is taken with it. Neither is held while the
// other is taken. With mapping.mu held, only TakeMemory and GiveMemory of the Router are called.
//
// The lock Sending of a mapping's flows is held by the goroutine that sends on a socket, and taken
// before mapping.mu. The locks of package rawecho are taken with both held. Package flows tells of
// its other locks; they are never held with mapping.mu. Opened is called with NAT.carrying,
// Answered without a lock, Ended perhaps with Sending.
package nat
