// Command bench measures syntap beside its peers and writes a table in Markdown: "make bench", or
//
//	go run ./cmd/internal/bench [flags] [ROUTER...]
//
// "make bench-compare BASE=REVISION" measures the syntap of another revision beside that of the
// work tree, and adds their ratios.
//
// It needs root, ip(8), and the programs of the routers: on the PATH, or where SYNTAP, SYNTAP_BASE,
// SING_BOX, TUN2SOCKS and PASTA say. bin/syntap, which make leaves, goes before an installed
// syntap. sing-box has to be built with_gvisor. Cases over QUIC need bin/quicload, or QUICLOAD, and
// are left out without it.
//
// The report goes to standard output, or between two lines of a file (-o); a short form of it
// between those of another (-summary).
//
// # Theory of operation
//
// A case is one kind of load, such as eight downloads, in one form of the lab (place), and gives
// one or more figures. A variant is syntap with one thing on or off, such as its log: some cases
// are measured with it too, and have a table of their own. A trial is one case with one router: it
// makes network namespaces (lab), starts far end and router, waits until an echo comes back through
// the router, applies the load, and takes everything down. Nothing outlives a trial, so no figure
// depends on the one before it, and a router that breaks spoils one figure, not the run. A load
// beside a case has a far end of its own.
//
// The machine drifts by more than the differences between two versions. So routers take turns at
// each case, and the whole is repeated: the figures in one row of the table were measured within a
// minute or so of each other, several times. The table has medians, and a second one the least and
// the greatest value.
//
// That is not enough to tell a few percent apart, or on a machine with other work. So a syntap and
// its base run at a time, each in a lab of its own, and their loads take turns of a quarter of a
// second; the other load is stopped (SIGSTOP) meanwhile. Each round gives a ratio. Where a case has
// no load, they take turns as other routers do.
//
// Far end, load and plain relay are this program again, started as a child in a namespace. A child
// answers each line on its standard input with a sample: bytes received, operations done,
// percentiles since the last sample. So does tools/quicload, the far end and load of QUIC. A figure
// is the difference of two samples around a window, which begins after a warm-up; the router's CPU
// clock is read at the same two moments. Bytes are counted where they arrive, for TCP and UDP
// alike: bytes that a sender has handed to its kernel prove nothing.
//
// # Pitfalls
//
//   - Client, router and far end share the cores. A router that takes less CPU leaves more for the
//     other two, so throughput rewards it twice, and a router that sleeps leaves a core to a sender
//     of UDP that never does. CPU seconds per GB, and CPU µs for each connection or round trip, are
//     the robust figures.
//   - A load that is stopped for the turns of others leaves its router and its far end at work
//     until all buffers are full. Those of eight downloads last for a part of the next turn: their
//     ratios to a base differ from run to run by more than their standard errors.
//   - Only ratios within one run mean anything; those against relay travel best from machine to
//     machine.
//   - CPU is the time of the router's own threads. The kernel's work for it in the name of
//     others, say to put a packet into a TUN queue while the client sends, is in no column
//     but slows all.
//   - relay ends the client's connection at an address of its own host. That leg is loopback with
//     its large MTU: a limit, not a competitor.
//   - Memory is the proportional set size of all processes of a router after five idle seconds.
//     Of files, such as the program, it counts pages that the kernel has mapped around those that
//     were needed: 10 MiB more or less, by the size of the pages in its cache. So there is a figure
//     without files. That of a connection is the growth with 4,500 behind 500 others, which have
//     made the router need as much as any number needs. Buffers in the kernel, which is where pasta
//     keeps a connection, do not show.
//   - Wakeups are the voluntary context switches of all threads of a fresh router.
//   - With iperf3 -u the share that was lost can exceed 1 when a warm-up is left out. This is why
//     the load is our own.
package main
