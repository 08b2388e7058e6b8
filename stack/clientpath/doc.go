// Package clientpath knows how large packets may be on their way from the link to each client: as
// large as the host's route to it takes, and as a router behind that has said (RFC 1191, RFC 8201).
//
// Such a router says so in an ICMP error, which anyone can make up. [ParseTooBig] reads one; the
// caller finds out whether the packet that it quotes is on its way, and then has [Paths.Learn]
// believe it. [Paths.LowerMSS] has both ends of a connection keep to the path from their SYN on.
//
// Where such errors are filtered, [Probes] find out which sizes pass.
//
// Paths are known for 4096 clients, each for ten seconds after the host was asked and ten minutes
// after a router has said so; beyond that number another client's is forgotten.
//
// # Locks
//
// Paths and Probes have a lock each, held for a map access: the host's route is asked, and probes
// are sent, without. Both may be taken with any other lock held.
package clientpath
