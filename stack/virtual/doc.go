// Package virtual keeps addresses that stand for names: each name that a client asks the DNS for
// gets addresses of its own, one IPv4 and one IPv6, so that the first packet of a flow carries the
// exact name, whatever the protocol. It knows no packets and no DNS messages.
//
// # Theory of operation
//
//	DNS ── Assign(name, family, real addresses) ──► virtual address
//	SYN ── Await(virtual) ──► Real(virtual): the addresses to dial, in order
//	datagram ── Datagram(virtual) ──► the address to send to
//
// Package resolver gives the virtual addresses to clients. Package dial translates them to the real
// ones, each of which is subject to policy.
//
// # Stability
//
// An address stands for one name as long as the table lives, and probably for none in the next run,
// because programs may store it. If the pool is exhausted, the longest-idle name is evicted, unless
// a connection to it is open, a datagram has recently gone there, or the TTL of its addresses has
// not expired; Stats counts evictions.
//
// New answers of the DNS replace the real addresses. A connection that begins after their TTL waits
// for new ones of its family. Those of the other family are dialled after them (RFC 8305 §4), and
// may be older. Datagrams stay with one real address as long as they flow, so that a QUIC
// connection keeps its peer. They change to the next one if it is unreachable, or has not answered
// within a second.
//
// # Locks
//
// Table.mu guards all. It may be taken with the lock of the router's connections held. No function
// of a caller is called with it held.
package virtual
