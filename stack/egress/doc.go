// Package egress decides by rules which flows may leave: by name, address, port, protocol and user.
// It is pure: rules and requests in, a decision out.
//
// # Theory of operation
//
//	Rule, Rule, ... ── Compile ──► Rules
//	first packet of a flow ──────► Rules.Decide ──► Ruling
//	question of a DNS query ─────► Rules.DecideName ──► Ruling
//
// The first rule that matches decides, else the default. All conditions of a rule have to hold;
// one that is left out always does, and of a list one element is enough.
//
// A flow may have several names: those that its client has lately asked the DNS for and got the
// flow's address as the answer. A rule with names matches where one of them does. So an earlier
// denial holds for an address which the client knows by an allowed name, too. A flow to a literal
// address has no name, and no rule with names matches it.
//
// A Ruling that allows says whether a literal address or prefix of the rule names the server.
// Such a rule is an exception to the addresses that are never dialled (package dial), and a name
// is not: its owner could make it resolve to 127.0.0.1.
//
// # Names of DNS queries
//
// A question is decided before there is an address. It is denied where no flow to the name could be
// allowed: where the first rule on the name that is not limited to some ports, protocols or
// addresses denies, or the default does. A rule for some addresses says nothing about names, so it
// does not open the DNS, which carries data out like any other protocol; one for all addresses of a
// family allows every name.
//
// # Speed
//
// Rules with names are found by a hash of the name and of each domain above it, those with prefixes
// by binary search among the ranges of addresses that the prefixes make. The time does not depend
// on the number of rules, nor on those of one name or address that differ by their ports
// (BenchmarkDecide).
package egress
