// Package stack is the router: it terminates the connections that come out of a [syntap/tun.Link],
// and carries their bytes on by ordinary sockets of the host. It knows nothing of handshake logs or
// rewriting. A link that does such things (package tap) looks like any other link to it.
//
// # Theory of operation
//
// Outbound, [Stack.Run] reads frames in one goroutine per queue (outbound.go). A frame is a TCP or
// UDP super-segment of up to 64 KiB, as the kernel's segmentation offload makes it, with its
// headers in a buffer of their own. The reader parses the IP header, verifies the checksum unless
// the kernel has, and hands the frame on:
//
//   - A SYN is held back while the router dials the far side (dialling.go). Netstack gets the SYN
//     when the far side has accepted.
//   - Other TCP goes to netstack, which acknowledges it and queues its payload.
//   - Datagrams and echo requests go to package nat, which sends them by host sockets.
//   - Fragments go to netstack for reassembly.
//
// Inbound, the poller (package sched) learns that a host socket is readable. For TCP, the
// connection's inbound direction (relay.go) reads up to half a megabyte and gives the bytes to
// netstack. Netstack writes them to the link (package netstack) in frames of 64 KiB, and leaves
// checksum and segmentation to the kernel. For datagrams, package nat builds the frames.
//
// Each payload byte of TCP is copied twice on its way out: from the kernel to netstack's memory,
// and back to the kernel. On its way in it is copied once more in between. Reading segment by
// segment straight into netstack's memory would cost more: each read makes the kernel acknowledge
// and the far side send, and a client that gets its frames one by one is woken for each. A read
// ends at an urgent byte of the far side even if more follows; an event announces the rest.
//
// # Connections
//
// A connection (conn.go has its diagram) lives from its SYN until netstack has closed its leg to
// the client. One table (end.go) lists how each phase ends, by cause.
//
// An established connection has two directions. A direction (relay.go) is a task of package
// [syntap/stack/sched], not a goroutine. So an idle connection costs a netstack endpoint, a
// connection and a descriptor, but no stack and no buffer, and a slow one delays no other. The
// poller wakes a direction for its host socket. Netstack's callbacks wake it for the client; they
// hold netstack's locks, so they only queue it. Interactive directions run before bulk ones: a
// keystroke does not wait for a download.
//
// Ownership replaces locks. Only the goroutine that owns a direction touches its state. Only the
// outbound direction reads netstack's receive queue, and the endpoint is closed or aborted only
// after both directions are done, so memory that was peeked at stays valid until it has been
// written. A FIN crosses as a shutdown of one direction, a RST as a reset of both.
//
// Until both ends have finished, closing a host socket sends a RST (SO_LINGER): if this process is
// killed, the far side sees that its bytes were cut short.
//
// # Datagrams
//
// Package nat carries datagrams and echo requests. The read loop gives it each frame. Netstack
// gives it the packets that it has reassembled, or freed from extension headers
// (netstack/reassembled.go).
//
// # Segment sizes
//
// Each of a connection's two legs has its own segment size. Options.MSS bounds that of the far leg.
// The router sets it on the host socket before it connects, so that both our SYN and our segments
// keep to it. Netstack's segments keep to the MSS in the SYN that it is given. [Stack.PathMTU]
// returns the MTU of the far leg's path, as the host knows it.
//
// Behind a gateway, the path to a client may be narrower than the link. Package clientpath takes
// its MTU from the host's route (Options.ClientMTU) and, for ten minutes, from the ICMP errors of
// routers on that path. An error counts only if it quotes a packet that may be in flight
// (clienterror.go): for TCP a number that is not yet acknowledged, for datagrams the size and the
// ends of an answer to a live mapping. Later connections keep to the MTU in both directions
// (clientpath.Paths.LowerMSS): the MSS that netstack reads in the SYN, and the one that the client
// reads in the SYN-ACK, are at most that of the path.
//
// Packets to or from a server may also vanish. Options.Stalled reports each leg that makes no
// progress (stall.go). The first bytes of some connections each second are sent in a way that lets
// the router tell more about a stall (missing.go, package farseq). If packets to a client vanish
// because such ICMP errors are filtered, Options.Stalled reports the connection (clientstall.go),
// old segments of several sizes show which sizes pass (clientpath.Probes), and shorter segments
// free it (clientmtu.go).
//
// # Packets to the far side
//
// A client that chose a source port which no kernel assigns keeps it if it is free
// (dial.Dialer.SourcePorts): some servers require a port below 1024, and a simultaneous open needs
// a particular one. A client that has the address of the host socket occupies the port already;
// then only the kind of port is kept. The kernel assigns all other ports, which costs no system
// call. The socket's packets have the DSCP of the client's (dscp.go).
//
// # On record first
//
// Options.DatagramOpened gets each flow of datagrams and each DNS query before it leaves. The flow
// waits in package nat for Stack.DatagramRecorded.
//
// With Options.AwaitRecord, a connection that both ends have opened carries nothing before
// Recorded. It stays in the phase acknowledged, so the check costs established connections nothing.
// The later of the client's ACK and the record establishes it.
//
// # Payloads
//
// For the record of a connection's end, the outbound direction reads the first bytes of the client
// (packages peek and inspect) right after they have gone to the far side, so no byte waits for it.
// It keeps a copy only while a ClientHello or HTTP request is incomplete, at most 16 KiB, which is
// charged to the client. It does so even if the server speaks first. Both directions read the DNS
// messages of a connection to port 53 (peek.DNS). Options.DNSAnswered gets each response to a query
// of the connection before the client does.
//
// # Held back by policy
//
// Some bytes of a client stay in netstack until policy has seen enough of them (package gate). If
// rules decide on names, DNS queries to port 53 pass one by one. A forbidden query is answered
// between the responses of the server; anything but a DNS message ends the connection. With
// Options.Contradicts, a connection whose name is known waits until its first bytes say a name
// (TLS, HTTP), or show that they will not. A contradiction resets both ends before any byte has
// left. The wait lasts at most 30 s, and ends if the far side speaks first, which it never does in
// TLS and HTTP (gate/name.go).
//
// # The end of a connection
//
// Options.FlowDone gets its bytes, its duration and the event that began its end (tun/flow,
// end.go): the first FIN or RST of either end, or the end that first fell silent.
//
// Run ends with its context, and resets the connections, except towards a far side that has all
// bytes of its client and the FIN. If the clients have ended before, [Stack.Drain] waits until
// their bytes are delivered (drain.go).
//
// # Answers to the client
//
// The dial decides the answer to a SYN (answer.go): SYN-ACK after the far side's SYN-ACK, RST after
// its RST, ICMP unreachable or prohibited if a router or our policy says so. There is no answer if
// the far side gives none, or if this host fails, for instance for lack of descriptors. In that
// case the client's next SYN dials again (dialling.go). The caller may delay an answer while
// it searches for the connection's owner (Options.BeforeAnswer).
//
// A server's address may stand for a name (package virtual). Then the router tries each real
// address that policy allows until one accepts, the next one after 250 ms or when one has failed
// (package race, RFC 8305). The answer is that of an address that refuses, else that of the first.
//
// A client's keepalive probe is answered when the far side has answered one of ours (package
// probe). Netstack answers a probe with an ACK without news. It names the connection with each
// packet that it sends, so ordinary segments cost a comparison, and only such an ACK leads to a
// look at the far side.
//
// A client whose address Options.Sources rejects gets no answer. For TCP the link sees to that.
//
// # Bounds
//
// Options.TCPFlows limits handshakes and connections together. HalfOpen and HalfOpenPerSource limit
// handshakes that wait for the client's ACK. Dials may take long and do not count there, so that a
// black hole delays no other client. A dial ends after DialTimeout, a handshake after
// HandshakeTimeout, in which the time does not count for which this process has not run. A
// connection, half-closed or not, lives as long as both ends do. Keepalives (Options.Keepalive,
// dial.Options) find out whether the ends of a quiet one still exist, and each leg retransmits for
// as long as Linux does, about 15 minutes: an outage ends no connection that would survive it
// without a router.
//
// Bytes that an end does not read are bounded by the sizes of the buffers: windows close and
// senders wait. All connections share Options.Memory for netstack's queues, our buffers and the
// kernel's sockets (package budget). Each is charged for the bytes that its buffers probably hold,
// or for those found in them if these are more (SO_MEMINFO for host sockets). Buffers have three
// sizes:
//
//   - Small: the size at the start of a connection while memory is not scarce.
//   - Large, in netstack (buffer.go): for a direction that has moved 256 KiB. The kernel grows
//     those of the host socket. They are charged by their size, every 256 KiB, and keep it when
//     memory is scarce.
//   - Tight, a few KiB: for later connections and, when memory is scarce, for those that have been
//     quiet for two seconds (weigh.go). They become small again after 8 KiB, or after 128 KiB if
//     later connections begin tight: more than an end takes that does not read.
//
// New connections may use seven eighths of the memory. If that is full, their SYN, or the answer to
// it, is dropped and counted. One client address may use a half of it, an IPv6 /64 36 of 56, and
// the programs of this host all but an eighth. When a source uses most of its share, memory is
// scarce for that source alone. An eighth of the whole is reserved for directions that move much.
// The sweeper weighs connections, and buffers change size only after enough bytes, so the data path
// does not pay for this. Connections that netstack is still closing count until their client has
// acknowledged everything or is given up.
//
// A SYN that waits for its dial is charged, too. At most one segment of its data is kept (syn.go).
//
// Other packages have their own bounds: see [syntap/stack/nat] for datagrams. A packet beyond a
// limit is dropped and counted ([Stats.Drops]).
//
// # Our own packets
//
// If the host's rules fail, packets of our own sockets come back through the TUN, and each would
// open another socket. So a SYN whose addresses are those of an upstream socket is dropped.
//
// # Goroutines
//
// The reader, the poller, Options.Workers workers, the two of package nat, and the sweeper, besides
// netstack's own. A handshake has one while it dials further addresses of a server (race.go), and
// one while netstack waits for the client's ACK. Run returns when the last has ended. All calls on
// descriptors are non-blocking and raw (package sched says why). Each shard has its own set, but
// there are no more workers than Options.Workers: further shards share those of others (shards.go).
//
// # Shards
//
// Over a link of several queues (tun.MultiQueue) the stack has a shard for each (shards.go): a
// whole Stack, with its own reader, poller, netstack, NAT and connections. The first one is the API
// of all. A shard reads its queue, and writes to the clients of its flows by the same queue. So the
// kernel sends it all packets of these flows, and no packet of an open flow meets another shard.
// The number of queues alone decides the number of shards.
//
// The home of a connection is the shard that has read its SYN; the home of a client endpoint of
// datagrams is the shard that has read its first datagram. Package affinity keeps these. A shard
// asks it when a flow begins, and for a packet of a flow that it does not know. Such a packet came
// by another queue than those before it, because the number of queues has changed, because the
// endpoint sends to several servers, or by chance. The shard then calls the code of the flow's home
// from its own reader: Stack.elsewhere for a SYN or a segment without an endpoint, so that no other
// shard answers with a RST, and package nat for a datagram or echo request. Nothing is queued in
// between, so nothing is lost or reordered there. All fragments between two addresses are
// reassembled by one shard.
//
// Shards share Stats and the limits that it counts, the memory budget, half-open handshakes by
// source, addresses of host sockets, the rate of ICMP errors, and the path MTUs of clients. The
// locks among these are taken when a flow begins or ends, for less than a microsecond. Several
// shards may call the callbacks of Options at once.
//
// # Locks
//
// Stack.mu guards one shard's table of connections and their handshakes; none is taken while
// another is held. It is not held during calls to netstack, to the link or to callbacks other than
// Options.Local, but may be taken with netstack's locks held (PathMTU, Withholds). The locks of
// dial.HostAddrs and of packages affinity, budget and virtual are taken with it. The locks of sched
// are the innermost; they may also be taken with netstack's locks held. So may the lock of
// netstack.Addresses, which is held during calls to netstack.
package stack
