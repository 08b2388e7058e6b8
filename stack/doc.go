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
// and the far side send, and a client that gets its frames one by one is woken for each.
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
// hold netstack's locks, so they only queue it.
//
// Ownership replaces locks. Only the goroutine that owns a direction touches its state. Only the
// outbound direction reads netstack's receive queue, and the endpoint is closed or aborted only
// after both directions are done, so memory that was peeked at stays valid until it has been
// written.
//
// A FIN crosses as a shutdown of one direction, a RST as a reset of both. Until both ends have
// finished, closing a host socket sends a RST (SO_LINGER): if this process is killed, the far side
// sees that its bytes were cut short. Run ends with its context, and resets the connections, except
// towards a far side that has all bytes of its client and the FIN. If the clients have ended
// before, [Stack.Drain] waits until their bytes are delivered (drain.go).
//
// # Answers to the client
//
// The dial decides the answer to a SYN (answer.go): SYN-ACK after the far side's SYN-ACK, RST after
// its RST, ICMP unreachable or prohibited if a router or our policy says so. There is no answer if
// the far side gives none, or if this host fails, for instance for lack of descriptors. In that
// case the client's next SYN dials again. A server's address may stand for a name (package
// virtual); then package race tries each real address that policy allows.
//
// Netstack answers a client's keepalive probe with an ACK without news. Only such an ACK leads to a
// look at the far side (package probe), so ordinary segments cost a comparison.
//
// # Path MTUs
//
// Each of a connection's two legs has its own segment size. The router sets Options.MSS on the host
// socket before it connects, so that both our SYN and our segments keep to it. Netstack's segments
// keep to the MSS in the SYN that it is given. Behind a gateway, the path to a client may be
// narrower than the link: package clientpath knows how narrow, from the host's route and from ICMP
// errors about packets that may be in flight (clienterror.go).
//
// Packets may also vanish without an error. Options.Stalled reports each leg that makes no progress
// (stall.go). The first bytes of some connections each second are sent in a way that lets the
// router tell more about a stall (missing.go, package farseq). Towards a client, old segments of
// several sizes show which sizes pass (clientstall.go), and shorter ones free the connection
// (clientmtu.go).
//
// # Held back
//
// With Options.AwaitRecord, a connection that both ends have opened carries nothing before
// Recorded. It stays in the phase acknowledged, so the check costs established connections nothing.
// The later of the client's ACK and the record establishes it. Datagrams wait in package nat for
// DatagramRecorded.
//
// Some bytes of a client stay in netstack until policy has seen enough of them (package gate). All
// others are read for the record of a connection's end after they have gone to the far side
// (package peek).
//
// # Bounds
//
// Options.TCPFlows limits handshakes and connections together. HalfOpen and HalfOpenPerSource limit
// handshakes that wait for the client's ACK. Dials may take long and do not count there, so that a
// black hole delays no other client. A dial ends after DialTimeout, a handshake after
// HandshakeTimeout, in which the time does not count for which this process has not run, and when
// all frames are read that had come by then. A connection, half-closed or not, lives as long as
// both ends do: keepalives tell, and each leg retransmits for as long as Linux does, about 15
// minutes.
//
// Bytes that an end does not read are bounded by the sizes of the buffers: windows close and
// senders wait. All connections share Options.Memory for netstack's queues, our buffers and the
// kernel's sockets. Package budget has the share of each source. A connection is charged for the
// bytes that its buffers probably hold, or for those found in them if these are more (weigh.go). It
// begins with small buffers, gets large ones (buffer.go) when it has moved much, and tight ones, a
// few KiB, when memory is scarce and it is quiet. If there is no memory for a new connection, its
// SYN, or the answer to it, is dropped. The sweeper weighs connections, and buffers change size
// only after enough bytes, so the data path does not pay for this.
//
// Other packages have their own bounds: see [syntap/stack/nat] for datagrams. A packet beyond a
// limit is dropped and counted ([Stats.Drops]).
//
// If the host's rules fail, packets of our own sockets come back through the TUN, and each would
// open another socket. So a SYN whose addresses are those of an upstream socket is dropped.
//
// # Goroutines
//
// The reader, the poller, Options.Workers workers, the two of package nat, and the sweeper, besides
// netstack's own. A handshake has one while it dials further addresses of a server (race.go), and
// one while netstack waits for the client's ACK. Run returns when the last has ended. All calls on
// descriptors are non-blocking and raw (package sched says why).
//
// # Shards
//
// Over a link of several queues (tun.MultiQueue) the stack has a shard for each (shards.go): a
// whole Stack, with its own reader, poller, netstack, NAT and connections. The first one is the API
// of all. Shards beyond Options.Workers share the workers and the poller of others. A shard reads
// its queue, and writes to the clients of its flows by the same queue. So the kernel sends it all
// packets of these flows, and no packet of an open flow meets another shard.
//
// The home of a flow is the shard that has read its first packet. Package affinity keeps it. A
// packet comes by another queue if the number of queues has changed, if an endpoint of datagrams
// sends to several servers, or by chance. Then the shard that has read it calls the code of the
// home from its own reader (Stack.elsewhere, package nat), so no shard answers with a RST, and
// nothing is queued, lost or reordered in between. All fragments between two addresses are
// reassembled by one shard.
//
// The locks of what shards share are taken when a flow begins or ends, for less than a microsecond.
// Several shards may call the callbacks of Options at once.
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
