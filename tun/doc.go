// Package tun stands between the router and the host: it moves IP frames through a TUN interface and changes the host so
// that traffic gets there. It knows nothing of TCP connections, and imports no other package of the program.
//
// # The link
//
// [Link] is what the router reads from and writes to; [Device] is the real one, [syntap/tun/tuntest.PipeEnd] one for tests,
// and the tap is a Link around another. A frame is what the kernel makes of a large write, a TCP super-segment of up to
// 64 KiB; [Offload], the virtio header that comes with it, tells what is still to be done: finish the checksum, cut it into
// packets. Nothing is cut or copied together here. Directions are the client's: outbound frames are read, inbound ones
// written.
//
// A frame comes from whoever may send into the interface, so its header may lie about its sizes. Such a frame is counted
// and dropped before anybody else sees it.
//
// # The host
//
// [Configure] brings the interface up and adds the routes and rules that [HostConfig] draws; [Host.Close] takes them back,
// last made first. What holds at every moment:
//
//   - A packet of the router's own sockets, which carry a mark, never enters the TUN, not even when it has no other way: an
//     unreachable rule stands before the one that leads into the table of the TUN.
//   - Routes exist before the rules that lead to them, and the rule that sends traffic in comes last and goes first.
//   - Nothing is half made: a step that fails undoes those before it.
//
// A process that was killed cannot undo. Its interface is gone, and with it the routes to it; its rules stay and lead into
// a table that has no answer any more, so that the host's own routes apply. The next run with the same configuration, or
// [Cleanup], recognizes what is left: rules that are exactly ours, and a table without a route to any interface. Anything
// else at our priorities or in our table belongs to somebody who is alive, and is refused before anything is changed.
//
// Only Linux is supported; elsewhere the package compiles and returns errors.
package tun
