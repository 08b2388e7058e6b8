// Package egress decides by rules which flows may leave: by name, address, port, protocol and user.
// It is pure: rules and requests in, a decision out.
//
// # Theory of operation
//
//	Rule, Rule, ... ── Compile ──► Rules
//	first packet of a flow ──────► Rules.Decide ──► Ruling
//	question of a DNS query ─────► Rules.DecideName ──► Ruling
//
// The first rule that matches decides, else the default. All conditions of a rule must hold. An
// omitted condition always holds, and a list holds if one element does.
//
// A flow may have several names: those for which its client has recently got the flow's address
// from the DNS. A rule with names matches if one of them does. So an earlier denial also applies to
// an address that the client knows by an allowed name. A flow to a literal address has no name, and
// no rule with names matches it.
//
// A Ruling that allows says whether a rule with literal addresses or prefixes allows the server, be
// it that rule or a later one, with no denial before. Such a rule is an exception to the addresses
// that are never dialled (package dial). A name is not, because its owner could make it resolve to
// 127.0.0.1.
//
// # Names of DNS queries
//
// A DNS query is decided before there is an address. It is denied if no flow to the name could be
// allowed: if the first rule on the name that is not limited to some ports, protocols or addresses
// denies, or the default does. A rule for some addresses says nothing about names, so it does not
// open the DNS, which carries data out like any other protocol. A rule for all addresses of a
// family allows every name.
//
// # Speed
//
// Rules with names are found by a hash of the name and of each domain above it, rules with prefixes
// by binary search among the ranges of addresses that the prefixes make. The time does not depend
// on the number of rules, not even of those for one name or address that differ in their ports
// (BenchmarkDecide).
package egress
