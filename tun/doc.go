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
// [Device] needs Linux; the types build everywhere.
package tun
