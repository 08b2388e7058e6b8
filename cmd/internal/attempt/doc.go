// Package attempt keeps the attempts of a command to reach servers: those that policy denied, for
// the user to read and to allow, and the rest as a policy that allows them.
//
// An attempt is a handshake, a flow without one, or a DNS query that policy answers. Its target is
// written as the rules of the command line are.
//
// A learned policy has a rule for each name and protocol, with its ports. One wildcard stands for
// three names or more of one domain that have the same ports, unless the domain, or a name, is a
// public suffix (publicsuffix.org, which lists hosts of many customers, too) or a name below it was
// denied. Beside port 21 of FTP all ports from 1024 count as one: the server chooses another for
// each transfer. A name that was resolved, and not connected to, gets a rule for port 53: a policy
// that denies the rest would not let it be resolved. Queries to the command's own nameservers need
// none.
package attempt
