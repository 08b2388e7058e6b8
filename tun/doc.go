// Package tun moves IP frames between the host's kernel and the router, through a TUN interface. It
// knows no TCP connections and no routing: [syntap/tun/route] routes traffic into the interface.
//
// The router reads from and writes to a [Link]. A [Device] is the real one,
// [syntap/tun/tuntest.PipeEnd] one for tests, and the tap is a Link that wraps another. Directions
// are the client's: outbound frames are read, inbound frames are written.
//
// The kernel makes one [Frame] of a large write, a GSO packet of up to 64 KiB. Its virtio header,
// [Offload], says which work is left: finish the checksum, split the frame into packets. This
// package neither splits nor copies frames.
//
// A [Device] parses the headers of a frame once ([syntap/tun/packet]); the tap and the stack read
// them from the frame. Every program with access to the interface can send a frame whose lengths
// contradict each other. Device drops and counts such a frame before other code reads it.
//
// # Queues
//
// An interface may have several queues ([Open], IFF_MULTI_QUEUE), each with a descriptor and
// a reader: a [MultiQueue]. Linux chooses the queue of a packet (drivers/net/tun.c,
// tun_automq_select_queue):
//
//   - The kernel hashes protocol, addresses and ports, so that both directions of a flow have the
//     same hash. A packet goes to the queue through which the last packet with its hash was
//     written, else to queue number hash × queues / 2³². So a reader that answers through its own
//     queue keeps the flows that begin there, even if the kernel forgets them: it remembers 4096
//     hashes, each for three seconds after its last packet.
//   - Fragments and ICMP are hashed without ports, a tunnel's packets like those inside.
//   - The packets of one socket to several servers come through several queues, until the same
//     queue has answered for each.
//   - When a queue is closed, another takes its place, and the packets that wait in it are lost.
//
// The tests verify the first two on the running kernel.
//
// [Device] needs Linux; the types build everywhere.
package tun
