// Package names remembers which names clients have asked the DNS for, so that an address to which a
// client connects has the name by which the client knows it.
//
// # Theory of operation
//
//	client ◄── DNS response ──── Table.Learn: name asked ──► addresses answered
//	client ─── SYN, datagram ──► Table.Begin: address ──► name, others
//	           end of it ──────► Table.End
//
// A response counts for the client that it goes to. [Table.Learn] follows its chain of aliases from
// the question to the addresses: those of A and AAAA records at the end of the chain, and the hints
// of HTTPS and SVCB records (RFC 9460 §7.3). The name of all of them is the one in the question,
// not that of a CNAME's target: a CDN's name for its server says nothing about the client's intent.
//
// Some clients are left to resolve a part of the chain by themselves: the target of an HTTPS or
// SVCB record in alias or service mode, and, for a resolver that asks the authoritative servers,
// each CNAME. Such a target stands for the name that led to it: an answer for the target gives its
// addresses both names.
//
// # How long a name lasts
//
// An address keeps a name for the TTL of the answer, the smallest along the chain and at most
// MaxTTL, and Grace beyond it. Clients keep addresses longer than a TTL allows: those of a
// connection pool connect again to the address that they have. So a connection or flow, from
// [Table.Begin] to [Table.End], keeps the names of its address, and Grace beyond its end.
//
// An address that was never in an answer for the client has no name, whatever other clients have
// asked.
//
// # Several names
//
// An address has a client's latest question for its name. The earlier ones, which the client may
// mean as well, are the others. A client that has asked for two names of one address within their
// time can mean either, and no later byte but the client's own tells which: [Conflict] says where
// those (SNI, HTTP Host) are none of the names.
//
// # Clients
//
// A machine behind this host is its address or, where its link-layer address is known, that: it may
// ask by IPv4 and connect by IPv6. The programs of this host are told apart by user, not
// by process: resolver libraries ask in helper processes, and programs pass addresses on. Answers
// to a resolver that serves this host's programs, such as systemd-resolved, count for all users
// (AllUsers): it has cached them and tells each who asks.
//
// # Bounds
//
// Anything that passes the router can fill the table, so its size is bounded in bytes, of which one
// source, a user or a machine or a /64 of IPv6, has at most a quarter. Where there is no room, the
// address gives way that was least recently answered or connected to, one with open connections
// last. An address has at most maxNames names; the oldest question gives way.
//
// # Locks
//
// One mutex guards the table. It is held for a few map accesses and never across a call to others.
// It is taken once for each new connection or flow and each DNS response, never for a packet. Begin
// and End together take 80 to 150 ns beside 10,000 addresses (BenchmarkBegin); two reads of the map
// under an RWMutex, which would have to note the use by other means, took as long.
package names
