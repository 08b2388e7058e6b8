// Package tun moves IP frames between the host's kernel and the router, through a TUN interface. It
// knows no TCP connections and no routing: [syntap/tun/route] leads traffic into the interface.
//
// [Link] is the interface that the router reads from and writes to. [Device] is the real one,
// [syntap/tun/tuntest.PipeEnd] one for tests, and the tap is a Link around another. Directions are
// the client's: outbound frames are read, inbound frames are written.
//
// The kernel makes one [Frame] of a large write, a GSO packet of up to 64 KiB. [Offload], the
// virtio header in front of it, names the work that is left: finish the checksum, cut the frame
// into packets. This package neither cuts nor copies frames.
//
// [Device] parses the headers of a frame, once ([syntap/tun/packet]); the tap and the stack read
// them from the frame. Every program with access to the interface can send a frame whose lengths
// contradict each other. Device counts and drops such a frame before anything else reads it.
//
// # Queues
//
// An interface may have several queues ([OpenQueues], IFF_MULTI_QUEUE), each with a descriptor and
// a reader: a [MultiQueue]. Which queue gets a packet is Linux's choice (drivers/net/tun.c,
// tun_automq_select_queue):
//
//   - The kernel hashes protocol, addresses and ports, so that both directions of a flow have one
//     hash. A packet goes to the queue by which the last one of its hash was written, else to that
//     of hash × queues / 2³². So a reader that answers by its own queue keeps the flows that begin
//     there, whether the kernel remembers them or not: it remembers 4096 hashes, and each for three
//     seconds after its last packet.
//   - Fragments and ICMP are hashed without ports, a tunnel's packets as those inside.
//   - The packets of one socket to several servers come by several queues, until each has answered
//     by the same.
//   - A queue that is closed hands its place, and the packets that wait in it are lost.
//
// The tests prove the first two for the kernel on which they run.
//
// [Device] needs Linux; the types build everywhere.
package tun
