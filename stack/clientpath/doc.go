// Package clientpath knows how large packets may be on their way from the link to each client: as
// large as the host's route to it takes, and as a router behind that has said (RFC 1191, RFC 8201).
//
// Such a router says so in an ICMP error, which anyone can make up. [TooBig] reads one; the caller
// finds out whether the packet that it quotes is on its way, and then has [Paths.Learn] believe it.
// [Paths.LowerMSS] has both ends of a connection keep to the path from their SYN on.
//
// Where such errors are filtered, [Probes] find out which sizes pass.
package clientpath
