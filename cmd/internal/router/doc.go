// Package router is the process that reads packets. It builds tun, tap and stack from a config,
// wires the calls that cross between them, and takes everything down in order.
//
// # Theory of operation
//
//	tun.Device ══ tap.Tap ══ stack.Stack ── host sockets
//	                │  ▲          │
//	     OnRecord,  │  ╰──────────╯ DialDone: how the far side answered, before the client is
//	     OnSegment  ▼
//	           remote.Log ──▶ Stack.Recorded: the record is written, payload may pass
//	            │   └───────▶ Options.Admission: no new connections while records cannot be written
//	            web.Figures
//
// A [Process] is started by its keeper and does as that says (process.go, package message). It
// reads all files that it needs, takes the TUN over, and gives up its rights (isolate.go) before
// the first packet. It opens no file after that: of those that change the keeper sends the next
// ones (files.go). Without its keeper it ends.
//
// Tap and stack do not know each other. Each takes the other's methods as its callbacks, which
// assembly.go sets; the values that they pass are those of tun/flow.
//
// Datagrams and echoes have no handshake for the tap to see. So the stack itself reports the first
// one of each flow (DatagramOpened), and holds it until its record is written
// (Stack.DatagramRecorded). The ends of connections and flows come from the stack, too (FlowDone).
//
// # Rights that it lacks
//
// The keeper has three servers do what takes rights: they make the upstream sockets and attach
// filters to them (package sockets), search for the owners of connections (searches.go,
// owner.Remote), and pass questions about the figures on. The log is the keeper's: the router's
// stands in for it (audit/remote).
//
// # What is known of a client
//
// The record of a client on this host names its user and its process. They are looked up when its
// SYN passes, and the client is answered when that is over (attribute.go, datagram.go).
//
// Names come from the answers to DNS queries that pass through, before the client has them
// (stack/names). A record has the name that the client knew when the SYN, or the first datagram of
// a flow, passed (names.go). For programs of this host the names in /etc/hosts are added.
//
// In exec the names may be those of virtual addresses (stack/virtual), which the router gives the
// command in answer to its queries (virtual.go). They are exact: a literal address has no name
// then.
//
// # Rules
//
// The rules of egress are asked when a flow begins (judge.go), by the name that its record has and
// by the user of its client. With names from the DNS a literal address that its client has asked
// for is no other than the name: both are the same packets.
//
// The mss and df rules hold on both legs: the tap rewrites by them, the stack sizes its sockets
// (sizes.go), and gives the tap the MTU of the path.
//
// # Reload
//
// Another config comes with an order (reload.go). First is done all that can fail: the router
// compiles its rules, and asks the keeper to open its sinks. Then the new parts are put in the
// place of the old ones. So the config in force is always one that stood in the file, whole. A
// change of tun, route or http is refused with everything else in the file, rather than applied in
// part. Connections and datagram sockets that are open keep the sizes, the interface, the timeouts
// and the rules that they have begun with, but each datagram asks the deny list anew.
package router
