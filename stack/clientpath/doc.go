// Package clientpath knows how large packets from the link to each client may be: as large as the
// host's route to it allows, and as a router on the way has reported (RFC 1191, RFC 8201).
//
// Such a router reports in an ICMP error, which anyone can forge. [ParseTooBig] reads one. The
// caller checks whether the packet that it quotes is in flight, and then passes it to
// [Paths.Learn]. [Paths.LowerMSS] makes both ends of a connection keep to the path from their SYN
// on. If such errors are filtered, [Probes] find out which sizes pass, and [Questions]
// whether segments of a quiet client are lost.
//
// Paths are known for 4096 clients, each for ten seconds after the host was asked, and for ten
// minutes after a router's report. Beyond that number another client's path is forgotten.
//
// # Locks
//
// Paths, Probes and Questions have a lock each, held for a map access: not while the host's route
// is asked, nor while probes are sent. All may be taken with any other lock held.
package clientpath
