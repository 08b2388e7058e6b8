// Package demo shows a handshake and explains its numbers, or shows a fleet of routers. It needs no
// network: everything happens in namespaces of its own, in three stages that are processes of this
// program.
//
//	host │ network: loopback only                     │ client: TUN only
//	     │                                            │
//	Show ┼─▶ Tour ── server on 127.0.0.1, router ═══ TUN ══ Connect
//
// Show, on the host, starts Tour where there is a loopback and nothing else. Tour serves, routes,
// and starts Connect behind the TUN. The connection is one of the Linux kernel's on both sides, and
// its lines are those of the tap.
//
// A fleet is shown in the same way: ShowFleet finds the store's program, or has Go build it, and
// starts FleetTour, which runs the store and, one after the other, two routers, whose clients are
// Visit. Each ships its log. Then this program asks the store (log --fleet, fleet).
package demo
