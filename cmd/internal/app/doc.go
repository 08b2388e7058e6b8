// Package app ties a router together and gives it a lifetime: it builds tun, tap and stack from a
// config, wires the calls that cross between them (assembly.go), and takes everything down in
// order.
//
//	tun.Device ══ tap.Tap ══ stack.Stack ── host sockets
//	                │  ▲          │
//	     OnRecord,  │  ╰──────────╯ DialDone: how the far side answered, before the client is
//	     OnSegment  ▼
//	            audit.Log ──▶ Stack.Recorded: the record is written, payload may pass
//	            │   └───────▶ Options.Admission: no new connections while records cannot be written
//	            web.Figures
//
// Datagrams and echoes have no handshake for the tap to see: the stack itself reports the first one
// of each flow (DatagramOpened) and holds it until its record is written (Stack.DatagramRecorded).
// The ends of connections and flows come from the stack too (FlowDone).
//
// Of clients on this host a record names user and process; they are looked up when its SYN passes,
// and the client is answered when that is over (attribute.go).
//
// Names come from the answers to DNS queries that pass through, before the client has them
// (stack/names). A record has the name that the client knew when the SYN, or the first datagram of
// a flow, passed (names.go).
//
// In exec the names may be those of virtual addresses (stack/virtual), which the router gives the
// command in answer to its queries (virtual.go). They are exact: a literal address has no name
// then.
//
// The rules of egress are asked when a flow begins (judge.go), by the name that its record has and
// by the user of its client. With names from the DNS a literal address that its client has asked
// for is no other than the name: both are the same packets.
//
// The mss and df rules of the config hold on both legs: the tap rewrites by them, the stack sizes
// its sockets (sizes.go), and gives the tap the MTU of the path.
//
// Names in /etc/hosts are added to those, for programs of this host (package hostfile).
//
// The JSON log is brought to stores outside from its files (fleet.go, package fleet), by a
// goroutine that tap and stack do not know. Its own connections carry the mark of upstream sockets,
// and so do not enter the TUN.
//
// "syntap run" is several processes (package isolate says why). [Service] is the one that is
// started: it changes the host and takes the signals (run.go), and keeps a router going (keeper.go,
// child.go). [Routed] is that router (routed.go), the same program under another name. They
// exchange orders and words (package message).
//
// [Exec] is a keeper, too, of the same routers (exec.go, command.go, routedcommand.go): it changes
// no host, but starts a command, while its router starts. It tells the router which addresses of
// the command's network stand for others, and asks it to deliver what the command has sent. The
// attempts of the command come by the ring.
//
// The servers (sockets.go) do for the router all else that takes rights: one makes its upstream
// sockets, and attaches filters to them (package sockets), the other searches for the owners of
// connections (owner.Server). Those of datagrams the writer of the log searches for (audit/remote).
// By a third stream the router is asked for its figures.
//
// With http.listen the keeper has the page served by a third process (page.go, web.go), which it
// starts when the router runs. It opens the listener before that, so that visitors wait rather than
// being refused, and keeps the last records for it (package recent). Questions that the keeper
// cannot answer itself it puts to the present router, or the next one.
//
// The router opens no file once it has given up its rights. It reads those of the host that it
// needs before; of those that change the keeper sends the next ones (files.go).
//
// The log is the keeper's (records.go): the router's stands in for it (audit/remote). It is one
// over all routers of a run, and so is the Fleet that brings it to stores outside.
//
// SIGHUP has a running router take another config (reload.go): tap, mss, df, egress, limits, fleet
// and log, and read /etc/hosts again. First is done all that can fail: the keeper reads the file,
// the router compiles its rules, and asks the keeper to open its sinks; then the new parts are put
// in the place of the old ones. So the config in force is always one that stood in the file, whole.
// A change of tun, route or http is refused with everything else in the file, rather than applied
// in part. Connections and datagram sockets that are open keep the sizes, the interface, the
// timeouts and the rules they have begun with, but each datagram asks the deny list anew.
//
// Tap and stack do not know each other. Each takes the other's methods as its callbacks, which
// [Router.Route] sets; the values that they pass are those of tun/flow.
package app
