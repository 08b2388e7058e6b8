// Package attempt collects the attempts of a command to reach servers: those that policy denied,
// for the user to read and to allow, and the others as a policy that allows them.
//
// An attempt is a handshake, a flow without one, or a DNS query that policy answers. Its target has
// the syntax of command-line rules.
//
// A learned policy has a rule for each name and protocol, with its ports. One wildcard replaces
// three or more names of one domain that have the same ports, unless the domain or a name is a
// public suffix (publicsuffix.org, which also lists hosts of many customers), or a name below it
// was denied. Beside port 21 of FTP, all ports from 1024 on count as one, because the server
// chooses another for each transfer. A name that was resolved but not connected to gets a rule for
// port 53, because a policy that denies the rest would not let it be resolved. Queries to the
// command's own nameservers need no rule.
package attempt
