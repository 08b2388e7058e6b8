// Package netstack is gVisor's netstack as the router needs it: it terminates TCP connections to
// every address there is, behind a [tun.Link] with the kernel's offloads. All that has to know
// gVisor's insides stands here, and each assumption about them has a test, so that an update of
// gVisor that breaks one fails with its name.
//
// # Theory of operation
//
// A [Stack] is netstack with one NIC (netstack.go). The NIC is promiscuous and spoofs: it takes
// packets to any address and sends from any. Packets enter by [Stack.Deliver] and leave by
// WritePackets (endpoint.go): GSO packets of up to 64 KiB, whose checksum and segmentation are left
// to the kernel.
//
// A SYN comes to [Stack.HandleTCP]'s function as a [Request] (request.go), on a goroutine that may
// wait for the client (acceptors.go). Reassembled datagrams come to [Stack.HandleOthers]'s
// (reassembled.go).
//
// # Assumptions
//
//   - The first view of a packet holds all its headers (appendViews), and its payload is at most
//     65374 bytes.
//   - Netstack counts the memory of received segments in the field rcvMemUsed (memory.go).
//   - The endpoint's field snd has SND.UNA and SND.NXT, its field rcv has RCV.NXT, and an error of
//     the kind PacketTooBig lowers its segments (pathmtu.go).
//   - It names an endpoint's owner with each packet that it sends for it, the answers to keepalive
//     probes included (owner.go).
//   - The endpoint's field scoreboard is its SACK scoreboard, whose field ranges is a B-tree
//     ordered by the ranges' beginnings (scoreboard.go).
//   - With no TIME-WAIT it gives the Forwarder a SYN on the 4-tuple of a connection just closed.
//   - A receive buffer is twice the window that it lets the client see, and grows when its size is
//     set and the client's bytes are read.
//   - Memory that a peek has shown stays as it is until it is read or the endpoint is closed.
//   - Accept returns when the endpoint's waiter queue is notified of EventOut. Its error says in
//     which state a RST came (request.go).
//   - An unknown IPv4 destination is looked up among all addresses, known ones in a map
//     (addresses.go).
//
// # Locks
//
// The lock of Addresses may be taken with netstack's locks held, and is held while calling
// netstack.
package netstack
