// Package names remembers which names clients have asked the DNS for, so that a connection to an
// address has the name by which its client knows the address.
//
// # Theory of operation
//
//	client ◄── DNS response ──── Table.Learn: name asked ──► addresses answered
//	client ─── SYN, datagram ──► Table.Begin: address ──► name, others
//	           end of it ──────► Table.End
//
// A response counts for the client that receives it. [Table.Learn] follows its chain of aliases
// from the question to the addresses: those of A and AAAA records at the end of the chain, and the
// hints of HTTPS and SVCB records (RFC 9460 §7.3). All of them get the name in the question, not
// that of a CNAME's target: a CDN's name for its server says nothing about the client's intent.
//
// Some clients resolve part of the chain themselves: the target of an HTTPS or SVCB record in alias
// or service mode and, if a resolver asks the authoritative servers, each CNAME. Such a target
// stands for the name that led to it. The addresses in an answer for the target get both names.
//
// # How long a name lasts
//
// An address keeps a name for the TTL of the answer (the smallest along the chain, at most MaxTTL)
// plus Grace. Clients keep addresses longer than a TTL allows; a connection pool, for example,
// connects again to the address it has. So a connection or flow, from [Table.Begin] to [Table.End],
// keeps the names of its address, plus Grace after its end.
//
// An address that was never in an answer to this client has no name, whatever other clients have
// asked.
//
// # Several names
//
// An address has the name of its client's latest question. Earlier names, which the client may mean
// as well, are the others. If a client has asked for two names of one address within their
// lifetime, it can mean either, and only the client's own bytes can tell which. [Conflict] reports
// that such bytes (SNI, HTTP Host) match none of the names.
//
// # Clients
//
// A machine behind this host is identified by its link-layer address if that is known, else by its
// IP address: it may ask by IPv4 and connect by IPv6. The programs of this host are distinguished
// by user, not by process: resolver libraries ask in helper processes, and programs pass addresses
// on. Answers to a resolver that serves this host's programs, such as systemd-resolved, count for
// all users (AllUsers), because it caches them and passes them to every program that asks.
//
// # Bounds
//
// Any passing traffic can fill the table, so its size is bounded in bytes. One source (a user, a
// machine, an IPv6 /64) may use a quarter. If the table is full, it evicts the address that was
// least recently answered or connected to; one with open connections comes last. An address has at
// most maxNames names, and loses the oldest question first.
//
// # Locks
//
// One mutex guards the table. It is held for a few map accesses, never across a call to other code.
// It is taken once for each new connection or flow and each DNS response, never for a packet. Begin
// and End together take 80 to 150 ns beside 10,000 addresses (BenchmarkBegin). Two map reads under
// an RWMutex, which would need another way to note the use, took as long.
package names
