// Package netstack is gVisor's netstack as the router needs it: it terminates TCP connections to
// any address, behind a [tun.Link] with the kernel's offloads. All code that depends on gVisor's
// internals is here, and each assumption about them has a test: an update of gVisor that breaks one
// fails the test that names it.
//
// # Theory of operation
//
// A [Stack] is netstack with one NIC (netstack.go). The NIC is promiscuous and spoofs: it accepts
// packets to any address and sends from any. Packets enter through [Stack.Deliver] and leave
// through WritePackets (endpoint.go), as GSO packets of up to 64 KiB whose checksum and
// segmentation are left to the kernel.
//
// The function given to [Stack.HandleTCP] gets each SYN as a [Request] (request.go), on a goroutine
// that may wait for the client (acceptors.go). The one given to [Stack.HandleOthers] gets
// reassembled datagrams (reassembled.go).
//
// # Assumptions
//
//   - The first view of a packet contains all its headers (appendViews), and its payload is at most
//     65374 bytes.
//   - Netstack counts the memory of received segments in the field rcvMemUsed (memory.go).
//   - The endpoint's field snd has SND.UNA, SND.NXT and MaxPayloadSize, its field rcv has RCV.NXT
//     and PendingBufUsed, and an error of the kind PacketTooBig makes its segments smaller
//     (pathmtu.go).
//   - An endpoint takes no payload while its segments take more memory than its receive buffer has,
//     not even the bytes in front of those after a gap.
//   - The endpoint's field keepalive has the idle time, from which its timer starts when the time
//     is set, and after each answer (keepalive.go).
//   - Netstack names an endpoint's owner with each packet that it sends for the endpoint, including
//     answers to keepalive probes (owner.go).
//   - The endpoint's field scoreboard is its SACK scoreboard, whose field ranges is a B-tree
//     ordered by the beginnings of the ranges (scoreboard.go).
//   - Without TIME-WAIT, the Forwarder gets a SYN on the 4-tuple of a connection that has just
//     closed.
//   - A receive buffer is twice the window that the client sees. It grows when its size is set and
//     the client's bytes are read.
//   - Free views are in the pool viewPool, and their memory of 64 KiB in the last of eleven
//     chunkPools; a view counts the references to it in the field chunk (body.go).
//   - Memory that a peek has returned does not change until it is read or the endpoint is closed.
//   - Accept returns when the endpoint's waiter queue is notified of EventOut. Its error shows in
//     which state a RST arrived (request.go).
//   - An unknown IPv4 destination is looked up among all addresses, known ones in a map
//     (addresses.go).
//
// # Locks
//
// The lock of Addresses may be taken with netstack's locks held, and is held while calling
// netstack.
package netstack
