// Package blackhole finds path MTU black holes from the connections that stall, and keeps the
// clamps that cure them. A black hole is a path on which packets above a size vanish without an
// ICMP error.
//
//	stack ──Stall──▶ suspect ──▶ measure (pathmtu) ──▶ finding ──▶ record, status, log
//	  ▲                 │                                 │
//	  │                 ╰─ two connections agree ─────────┤
//	  ╰── DF cleared, or reset ◀── the stalled ones ──────┴──▶ MSS of later connections
//
// # Suspicion
//
// The stack looks at connections that stall, once a second, and at no others; TCP_INFO says why
// ([syntap/tun/flow.Stall]). Suspicious of the way up is a connection whose full segments are
// outstanding after two retransmission timeouts, and have never been acknowledged. Suspicious of
// the way down is one whose bytes are acknowledged and that has got no full segment: none at all,
// or only short ones behind a hole. A dead server looks like the former, and a slow one like the
// latter.
//
// # Proof
//
// So a suspicion is no finding. Where the port speaks TLS, HTTP or SSH the router measures the path
// itself, as "syntap mtu" does, with sockets that have its mark: its result is exact and of high
// confidence. On other ports strange bytes could harm, so nothing is sent there. Two connections
// have to agree, in a way that chance and slowness do not explain: full segments that are lost for
// four timeouts while a new connection opens, or short ones that wait behind a hole for three
// seconds. Such a finding has medium confidence and knows no size; its clamp is for packets of 1280
// bytes.
//
// So have they where a measurement decides nothing, since the far end says too little. A path in
// which nothing is found is measured again after ten minutes at the earliest, one that could not be
// measured after ten seconds, and then twice as long each time, up to an hour. Two measurements run
// at a time.
//
// Where full segments pass on other connections to the host, in the same direction and begun in the
// last two minutes, there are several paths (ECMP) and one of them is bad. That is said in the
// program's log, and is no finding: a clamp for all of them would be for a few.
//
// # Cure
//
// A finding lives ten minutes. Then the path is measured again, if a connection has gone there: the
// finding is renewed, or forgotten where the path is clear, so that a clamp rises again (RFC 8899
// §5.3). The clamp is never below 536 bytes for IPv4 and 1220 for IPv6, and never comes from ICMP.
// Three hosts of a /24, or /56, with findings stand for all of it. At most 1024 hosts are kept.
package blackhole
