// Package resolver answers DNS queries in the router's own name: with virtual addresses for the
// names that a client asks for (package virtual), so that the client's first packets carry the
// exact name, and with denials for names that policy forbids.
//
// # Theory of operation
//
//	query ── Resolver.Answer ──┬──► A, AAAA ── the nameservers know the name ──► virtual.Table.Assign
//	                           ├──► HTTPS, SVCB: their answer, with the name's virtual addresses
//	                           ├──► PTR of a virtual address: its name
//	                           └──► other types: their answer
//
// The router asks the rules about each query before it gets here, and answers a forbidden one with
// [Blocked].
//
// The resolver asks the nameservers for both families at once. It keeps each answer for its TTL and
// for at least 10 s, because a client must be able to use the address that it was given.
// Simultaneous queries for a name share one lookup. Addresses of one family wait 50 ms for those of
// the other (RFC 8305 §3): a connection mostly has both to dial, and a nameserver that never
// answers for one family does not delay clients of the other. If a nameserver fails, or has not
// answered after 2 s, the next one is asked. The first answer counts, within 8 s; one without
// addresses waits for the other family's, because a nameserver may deny a name that it knows (RFC
// 4074 §4.2). A name has virtual addresses of the families of its real addresses, so a program
// chooses between families as it would without a router. Answers show no aliases: the name in the
// query counts.
//
// Clients reach the resolver through a socket on the loopback address ([Server]). The router
// redirects queries to it that go to the nameservers in the client's resolv.conf. So they are flows
// like any other: recorded before they leave, bounded, and served by the same code for UDP and TCP.
//
// # DNSSEC
//
// Virtual addresses cannot be signed. The AD bit is never set, and no signatures are passed on. A
// client that sets DO gets the extended error Forged Answer (RFC 8914 §4.5) with a virtual address.
// Queries for DNSKEY, DS and RRSIG pass, so a client that validates finds that the zone is signed,
// and refuses the addresses.
//
// # Bounds
//
// A query has one question. At most 1024 queries by UDP, 128 connections and 256 questions to
// nameservers are open at a time. The cache has 8192 names, the table as many as there are virtual
// addresses, with up to 16 real ones of either family each. Questions that may carry data out have
// a budget (budget.go).
//
// # Why this library
//
// golang.org/x/net/dns/dnsmessage is part of a module that the program already needs. It reads and
// writes the types that contain names, and SVCB. github.com/miekg/dns knows more types, which pass
// as bytes here.
package resolver
