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
// The keeper starts a [Process], which follows its orders (process.go, package message). It reads
// all files that it needs, takes the TUN over, and gives up its rights before the first packet
// (isolate.go). After that it opens no file: the keeper sends those that have changed (files.go).
// Without its keeper it ends.
//
// Tap and stack do not know each other. Each takes the other's methods as its callbacks, which
// assembly.go sets. The values that they pass are those of tun/flow.
//
// Datagrams and echoes have no handshake for the tap to see. So the stack itself reports the first
// one of each flow (DatagramOpened), and holds it until its record is written
// (Stack.DatagramRecorded). It also reports the ends of connections and flows (FlowDone).
//
// # Rights that it lacks
//
// The keeper does what takes rights. Its server makes the upstream sockets and attaches filters to
// them (package sockets). The log is the keeper's: the router's sends it the records by a ring, and
// the questions for the owners of connections (audit/remote, searches.go, owner.Remote). By a
// stream the keeper asks for the figures, for the page.
//
// # Clients and their names
//
// A record of a client on this host names its user and its process. The router looks them up when
// the SYN passes, and answers the client when it knows them (attribute.go, datagram.go).
//
// It takes names from the answers to DNS queries that pass through, before the client has them
// (stack/names). A record has the name that the client knew when the SYN, or the first datagram of
// a flow, passed (names.go). For programs of this host the names in /etc/hosts count, too.
//
// In exec the names may be those of virtual addresses (stack/virtual), with which the router
// answers the command's queries (virtual.go). They are exact: a literal address has no name then.
//
// # Rules
//
// The rules of egress are asked when a flow begins (egresspolicy.go), by the name that its record
// has and by the user of its client. With names from the DNS, a literal address that its client has
// asked for counts as the name: both are the same packets.
//
// The mss and df rules hold on both legs: the tap rewrites by them, and the stack sizes its sockets
// by them (sizes.go). The stack gives the tap the MTU of the path.
//
// # Reload
//
// Another config comes with an order (reload.go): tap, mss, df, egress, limits, fleet and log may
// differ, and /etc/hosts comes along. All that can fail is done first: the router compiles the
// rules, and asks the keeper to open the sinks. Then the new parts take the place of the old ones.
// So the config in force is always one that stood in the file, whole. A change of tun, route or
// http is refused, and everything else in the file with it.
//
// Open connections and datagram sockets keep the sizes, the interface, the timeouts and the rules
// that they began with. But each datagram asks the deny list anew.
package router
