// Package stack is the router proper: it terminates the connections that come out of a
// [syntap/tun.Link] and carries them on by ordinary sockets of the host. It knows nothing of
// handshake logs or rewriting; a link that does such things (package tap) looks to it like any
// other.
//
// # Theory of operation
//
// A packet's way out. [Stack.Run] reads frames in one goroutine for each queue (outbound.go). A
// frame is a whole TCP or UDP super-segment of up to 64 KiB, as the kernel's segmentation offload
// makes it, with its headers in a buffer of their own. Its IP header is parsed, its checksum
// verified where the kernel has not, and then
//
//   - a SYN is held back and the far side is dialled (dialling.go); netstack gets the SYN when the
//     far side has accepted;
//   - other TCP goes to netstack, which acknowledges it and queues its payload;
//   - datagrams and echo requests go to package nat, which sends them by host sockets;
//   - fragments go to netstack for reassembly.
//
// A packet's way back. The poller (package sched) learns that a host socket is readable. For TCP
// the connection's inbound direction (relay.go) reads, half a megabyte at a time, and gives the
// bytes to netstack. That writes them to the link (package netstack) in frames of 64 KiB, with
// checksum and segmentation left to the kernel. Package nat builds the frames of datagrams.
//
// A payload byte of TCP is copied twice on its way out: from the kernel to netstack's memory, and
// from there to the kernel. On its way back it is copied once more, in between. That is cheaper
// than reading segment by segment into netstack's memory: each read makes the kernel acknowledge
// and the far side send, and a client that gets its frames one by one has to be woken for each. A
// read ends before an urgent byte of the far side, though there is more; an event tells of those.
//
// # Connections
//
// A connection (conn.go has its diagram) lives from its SYN until netstack has closed its leg to
// the client. One table says how each of its phases ends, and for which cause (end.go).
//
// An established connection has two directions. A direction (relay.go) is a task
// of package [syntap/stack/sched], not a goroutine. So an idle connection costs a netstack
// endpoint, a connection and a descriptor, no stack and no buffer, and a slow one delays no other.
// The poller wakes a direction for its host socket, and netstack's callbacks for the client; those
// hold netstack's locks and only queue it. Interactive directions go before bulk ones: a keystroke
// does not wait for a download.
//
// Ownership keeps this free of locks. Only the goroutine that owns a direction touches its state.
// Netstack's receive queue is read by the outbound direction alone, and the endpoint is closed or
// aborted only when both directions are done: memory that was peeked at stays valid until it has
// been written. FIN crosses as a shutdown of one direction, RST as a reset of both.
//
// A host socket is made so that its end is a RST (SO_LINGER), until both ends have finished: when
// this process is killed the far side sees that its bytes were cut short.
//
// # Datagrams
//
// Package nat carries datagrams and echo requests. The read loop gives it each frame, and netstack
// the packets that it has put together from fragments or freed from extension headers
// (netstack/reassembled.go).
//
// # Segment sizes
//
// The two legs of a connection have segments of their own. Options.MSS bounds those of the far
// leg. It is set on the host socket before it connects: then our SYN announces it and our
// segments keep to it. Netstack's keep to what the client announced in the SYN that it is given.
// [Stack.PathMTU] returns the MTU of the far leg's path, as the host knows it.
//
// Behind a gateway a client's path may be narrower than the link. Its MTU (package clientpath)
// comes from the host's route, Options.ClientMTU, and for ten minutes from the ICMP errors of
// routers there. Such an error counts only when it quotes a packet that may be on its way
// (clienterror.go): of TCP a number that is not yet acknowledged, of datagrams the size and the
// ends of an answer to a live mapping. Connections that open later keep to it in both directions
// (clientpath.Paths.LowerMSS): the MSS that netstack reads in the SYN, and that the client reads in
// the SYN-ACK, is at most that of the path.
//
// Packets to a server, or from it, may vanish too: Options.Stalled gets each leg that makes no
// progress (stall.go). The first bytes of a connection, of some each second, are sent so that more
// can be told (missing.go, package farseq).
//
// Where such errors are filtered, packets to a client vanish. Options.Stalled gets the connection
// (clientstall.go), old segments of several sizes tell which pass (clientpath.Probes), and shorter
// ones free it (clientmtu.go).
//
// # What the far side sees
//
// A source port that no kernel gives by itself is the client's choice, and kept where it is free
// (dial.Dialer.SourcePorts): far sides ask for one below 1024, or wait for the one of a
// simultaneous open. A client that has the address of the host socket has the port already: then
// only the kind is kept. All others are the kernel's, which costs no system call. The socket's
// packets have the DSCP of the client's (dscp.go); for clients that set none the read loop looks at
// one byte more.
//
// # On record first
//
// A flow of datagrams, or a DNS query, is handed to Options.DatagramOpened before it leaves, and
// waits in package nat for Stack.DatagramRecorded.
//
// With Options.AwaitRecord a connection that both ends have opened carries nothing before Recorded:
// it stays in the phase acknowledged, so that the check costs established ones nothing. The later
// one of the client's ACK and the record establishes it.
//
// # Payloads
//
// For the record of a connection's end the outbound direction looks at the first bytes of the
// client (packages peek and inspect), right after they have gone to the far side: no byte
// waits for it. It keeps a copy only as long as a ClientHello or an HTTP request goes on, at most
// 16 KiB, which the client is charged for. A server that speaks first makes no difference. Both
// directions take DNS messages out of a connection to port 53 (peek.DNS), and
// Options.DNSAnswered gets each response to a query of the connection before the client does.
//
// # Held back by policy
//
// Some bytes of a client stay in netstack until policy has seen enough of them (package gate).
// Towards port 53, where rules decide on names, DNS queries pass one by one. One that is forbidden
// is answered between the responses of the server; anything else ends the connection. With
// Options.Contradicts, the first bytes of a connection whose name is known wait until they say one
// (TLS, HTTP) or that they will not; a contradiction resets both ends, and nothing has left. They
// wait for 30 s, and not where the far side speaks first: TLS and HTTP are no such protocols
// (gate/name.go).
//
// # When a connection is over
//
// Options.FlowDone gets its bytes, its duration and the event that began its end (tun/flow,
// end.go): the first FIN or RST of either end, or the end that first fell silent.
//
// Run ends when its context does, and resets connections; but not towards a far side that has all
// bytes of its client, and the FIN. Where the clients have ended before, [Stack.Drain] waits until
// their bytes are delivered (drain.go).
//
// # What the client sees
//
// A SYN has the answer of the dial: SYN-ACK after that of the far side, RST if that refuses, ICMP
// unreachable or prohibited from a router or by our policy (answer.go). It has none if the far side
// does not answer, or if this host fails, for instance for lack of descriptors. In the last case
// the client's next SYN dials again; see dialling.go. The app may hold an answer back, while it
// finds out whose connection it is (Options.BeforeAnswer).
//
// A server's address may stand for a name (package virtual). Then each real address that policy
// allows is tried, the next 250 ms after the one before or when that has failed, until one accepts
// (package race, RFC 8305); the answer is that of an address which refuses, else of the first.
//
// A client's keepalive probe is answered when the far side has answered one of ours (package
// probe). Netstack names the connection with each packet that it sends, and an ACK without news,
// which it sends in answer to a probe, leads to a look at the far side: ordinary segments cost a
// comparison.
//
// A client whose address Options.Sources does not name gets no answer. Of connections the link
// takes care of that.
//
// # Bounds
//
// Handshakes and connections together are limited by Options.TCPFlows. HalfOpen and
// HalfOpenPerSource limit handshakes that wait for the ACK of their client; dials may take long and
// do not count, so that a black hole delays no other client. A dial ends at DialTimeout, a
// handshake at HandshakeTimeout. A connection lives as long as both ends do, a half-closed one too:
// keepalives (Options.Keepalive, dial.Options) find out whether the ends of a quiet one are still
// there, and each leg sends again for as long as Linux does, about 15 minutes, so that an outage
// ends nothing that it would not end without a router.
//
// The bytes that the ends of a connection do not read stay below the sizes of its buffers: then
// windows close and senders wait. All connections share Options.Memory, for netstack's queues, our
// buffers and the kernel's sockets (package budget). Each is charged for the bytes that its buffers
// are likely to hold, and for those that have been found in them where these are more: of host
// sockets by SO_MEMINFO. Buffers have three sizes.
//
//   - Small ones are those a connection begins with, as long as half of the memory is free. The
//     kernel lets those of the host socket grow by itself while little is charged.
//   - Large ones in netstack (buffer.go) are for a direction that has moved 256 KiB. The kernel
//     lets those of the host socket grow by itself, up to 2 MiB where memory is scarce.
//   - Tight ones of a few KiB are for connections that begin later, and for those that have been
//     quiet for two seconds where memory is scarce (weigh.go). After 8 KiB that move they are small
//     again.
//
// New connections find room in seven eighths of the memory, and wait when there is none: their SYN,
// or the answer to it, is dropped and counted. One client address has a quarter of that, an IPv6
// /64 a half, and the programs of this host all but an eighth; where a source holds most of its
// share, memory is scarce for it alone. An eighth of the whole is for directions that move much,
// whatever the others hold. A connection that moves pays for none of this: it is weighed by the
// sweeper, and its buffers change when it has moved enough. Connections that netstack still closes
// count until their client has acknowledged all or is given up.
//
// A SYN that waits for its dial is charged, too. Of its data no more is kept than one segment has
// (syn.go).
//
// Packages beside this one have bounds of their own: see [syntap/stack/nat] for datagrams. A packet
// beyond a limit is dropped and counted ([Stats.Drops]).
//
// # Our own packets
//
// Where the host's rules fail, packets of our own sockets come back in the TUN, and each would open
// another socket. So a SYN whose addresses are those of an upstream socket is dropped.
//
// # Goroutines
//
// The reader, the poller, Options.Workers workers, the two of package nat, and one that sweeps,
// besides netstack's own. A handshake has one while it dials further addresses of a server
// (race.go), and one while netstack waits for the ACK of its client. Run returns when the last of
// all has ended. All calls on descriptors are non-blocking and raw (package sched says why).
//
// Each shard has its own of all but those of handshakes.
//
// # Shards
//
// Over a link of several queues (tun.MultiQueue) the stack has a shard for each, shards.go: a whole
// Stack, with its reader, poller, workers, netstack, NAT and connections. The first speaks for all.
// A shard reads its queue, and writes by it to the clients of its flows; so the kernel gives it all
// their packets, and no packet of an open flow meets another shard. How many shards there are, and
// how many processors, decides nothing else.
//
// A connection is at home at the shard that has read its SYN, a client endpoint of datagrams at the
// one that has read its first. Package homes keeps that; it is asked when a flow begins, and for a
// packet of a flow that a shard does not know. That has come by another queue than those before it,
// because the number of queues has changed, because the endpoint sends to several servers, or by
// chance. Its shard then calls the code of the flow's home, from its own reader: a SYN and a
// segment without an endpoint, which no innocent shard answers with a RST (Stack.elsewhere), a
// datagram or an echo request (package nat). Nothing is queued in between, so nothing is lost or
// overtaken there. Fragments between two addresses are put together at one shard.
//
// In common are Stats, the limits that these count, the memory budget, half-open handshakes by
// source, addresses of host sockets, and the rate of ICMP errors. The locks among them are taken
// when a flow begins or ends, for less than a microsecond. The path MTUs of clients are learned by
// all shards. Callbacks of Options may come from several shards at once.
//
// # Locks
//
// Stack.mu guards the table of connections and their handshakes of one shard; none is taken with
// another's held. It is never held while calling netstack, the link or a callback other than
// Options.Local, but may be taken with netstack's locks held (PathMTU, Withholds). The locks of
// dial.HostAddrs, of packages budget, homes and virtual are taken with it. The locks of sched are
// the innermost and are taken with netstack's locks held, too; so may be the lock of
// netstack.Addresses, which is held while calling netstack.
package stack
