// Package blackhole finds path MTU black holes from the connections that stall, and keeps the
// clamps that cure them. A black hole is a path on which packets above a size vanish without an
// ICMP error.
//
//	stack ──Stall──▶ suspect ──▶ measure (pathmtu) ──▶ finding ──▶ record, status, log
//	  ▲                 │                                 │
//	  │                 ╰─ it outlasts, or two agree ─────┤
//	  ╰── freed, or reset ◀──────── the stalled ones ─────┴──▶ MSS of later connections
//
// # Suspicion
//
// The stack looks at connections that stall, once a second, and at no others; each of their legs is
// a [syntap/tun/flow.Stall]: TCP_INFO has that to the server, netstack that to the client.
// Suspicious of the way up, towards the leg's end, is one whose full segments are outstanding after
// two retransmission timeouts, and have never been acknowledged. Suspicious of the way down is one
// of whose far end no full segment has come: only short ones behind a hole or, of a server whose
// client's bytes are acknowledged, none at all, less than the head of an HTTP answer says, or less
// than the server's ACKs say that it has sent (package farseq). A dead
// server looks like the first; a slow one like the others, but for its ACKs. A quiet client of a
// gateway, of which no packet above 1280 bytes has come, is asked by keepalive probes how far it
// has sent: its ACKs tell, too (clientpath.Questions).
//
// Where full segments have passed before, the path may have become narrow. A path that has failed
// looks the same, so only a measurement makes a finding of that; a finding cures it.
//
// # Proof
//
// So a suspicion is no finding. Where the port speaks TLS, HTTP or SSH the router measures the path
// to the server itself, as "syntap mtu" does, with sockets that have its mark: its result is exact
// and of high confidence. The way to a client is measured on the stuck connection, by old segments
// of several sizes, of which the client says by D-SACK that they have come.
//
// On other ports strange bytes could harm, so nothing is sent there but a handshake and keepalive
// probes. Evidence is full segments that are lost for four timeouts, while short ones were
// acknowledged shortly before, as the first of a large upload is (stack.Options.First); short
// segments that wait behind a hole for three seconds; or ACKs that tell for as long that a full
// segment has not come. In both cases the far end answers a keepalive probe meanwhile. Chance and
// slowness do not explain them, but a path that has failed does. So two connections have to show it
// while a new one opens; or one, before a new one opens and after: full segments were sent again
// since, in vain. A firewall that was started anew, or a load balancer whose server is gone, drops
// all packets of the connections that it knew, and lets new ones open: so full segments have to be
// lost within ten seconds after the SYN. Of ACKs and bytes that are missing, for three seconds a
// server has sent them again four times (RFC 6298 with 200 ms); one in 10,000 such segments is lost
// so often under 10 % loss. Such a finding has medium confidence and knows no size; its clamp is
// for packets of 1280 bytes, and where connections over IPv4 that keep to it show the same again,
// for 576. Where findings are applied, an upload over IPv4 has its DF bit cleared
// on trial after four timeouts and five seconds, if a new connection has opened and a full segment
// was lost since: that it goes on then is evidence too, even if nothing short was acknowledged
// before. The same decides where a measurement cannot, since the far end says too little, and on
// the way from a client, whose short segments that have come stand for the handshake.
//
// A command of exec may end before any of that. At the end, packets that are certain to vanish by a
// measurement are a finding of medium confidence, with the sizes known by then. Where a connection
// hung until the end, and nothing is certain, the program's log names the far end for "syntap mtu".
//
// A path in which nothing is found is measured again after ten minutes at the earliest, one that
// could not be measured after three seconds, and then twice as long each time, up to an hour. Two
// measurements run at a time.
//
// Where full segments pass on other connections to the host, in the same direction and begun in the
// last two minutes, there are several paths (ECMP) and one of them is bad. That is said in the
// program's log, and is no finding: a clamp for all of them would be for a few.
//
// # Cure
//
// A measurement may take ten seconds under loss. Once two rounds of it have shown that packets
// vanish, connections that have been stuck for five are cured, and new ones keep to the size that
// is known to pass by then. The finding follows, with the exact one: a measurement that is made
// again for it may take half a minute.
//
// A stuck upload over IPv4 is freed: its DF bit is cleared. On the client's leg netstack sends
// shorter packets, and the client gets the ICMP error that the path withholds. Other
// connections that are stuck are reset, so that their clients begin anew, with a clamp.
//
// A finding lives ten minutes. Then the path is measured again, if a connection has gone there: the
// finding is renewed, or forgotten where the path is clear, so that a clamp rises again (RFC 8899
// §5.3). That of a client is forgotten, as nothing is stuck then that could be measured. The clamp
// is never below 536 bytes for IPv4 and 1220 for IPv6, and never comes from ICMP. Three hosts of a
// /24, or /56, with findings are a finding of the prefix, and stand for all of it. At most 1024
// hosts are kept.
package blackhole
