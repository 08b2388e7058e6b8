// Package resolver answers DNS queries in the router's own name: with virtual addresses for the
// names that a client asks for (package virtual), so that its first packets carry the exact name,
// and with denials for names that policy forbids.
//
// # Theory of operation
//
//	query ── Resolver.Answer ──┬──► A, AAAA ── the nameservers know the name ──► virtual.Table.Assign
//	                           ├──► HTTPS, SVCB: their answer, with the name's virtual addresses
//	                           ├──► PTR of a virtual address: its name
//	                           └──► other types: their answer
//
// The router asks the rules about each query before it gets here, and answers one that they forbid
// by [Blocked].
//
// The nameservers are asked for both families at once, and each answer is kept as long as they say,
// at least 10 s, since a client has to find the address that it was told; two clients that ask at a
// time share a look-up. Addresses of one family wait for those of the other for 50 ms (RFC 8305
// §3), so that a connection mostly has both to dial, and a nameserver that never answers for one
// family makes no client of the other wait. Another nameserver is asked after 2 s, or where one
// fails; the first answer of any counts, within 8 s. An answer without addresses waits for the
// other: a nameserver may deny a name that it knows (RFC 4074 §4.2). A name has a virtual address
// of each family that it has real ones of, so a program chooses between the families as it would
// without a router. Aliases are not shown: the name that was asked for counts.
//
// Clients reach it by a socket on the loopback address ([Server]), to which the router leads
// queries to the nameservers that the client has in its resolv.conf. So they are flows like others:
// recorded before they leave, bounded, and answered by the same code for UDP and TCP.
//
// # DNSSEC
//
// Addresses that stand for names cannot be signed. The bit AD is never set and no signatures are
// given along; a client that sets DO gets the extended error Forged Answer (RFC 8914 §4.5) with a
// virtual address. Queries for DNSKEY, DS and RRSIG pass, so a client that validates by itself
// finds that the zone is signed, and refuses the addresses.
//
// # Bounds
//
// A query has one question. There are at most 1024 queries by UDP and 128 connections at a time,
// and 256 questions to nameservers. The cache has 8192 names, the table as many as there are
// virtual addresses, each with 16 real ones of either family. Questions that may carry data out
// have a budget (budget.go).
//
// # Why this library
//
// golang.org/x/net/dns/dnsmessage is part of a module that the program has anyway, reads and writes
// the types that have names in them, and SVCB; github.com/miekg/dns knows more types, which pass
// here as bytes.
package resolver
