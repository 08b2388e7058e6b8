// Package virtual keeps addresses that stand for names: each name that a client asks the DNS for
// has addresses of its own, one IPv4 and one IPv6, so that the first packet of a flow carries the
// exact name, whatever the protocol. It knows no packets and no DNS messages.
//
// # Theory of operation
//
//	DNS ── Assign(name, family, real addresses) ──► virtual address
//	SYN ── Await(virtual) ──► Real(virtual): the addresses to dial, in order
//	datagram ── Datagram(virtual) ──► the address to send to
//
// Package resolver gives the virtual addresses to clients. Package dial takes them for the real
// ones, each of which is subject to policy.
//
// # Stability
//
// An address stands for one name as long as the table lives, and most likely for none in the next
// run: programs may keep it. Where the pool is exhausted, the name that has been idle longest goes,
// unless a connection to it is open, a datagram has lately gone there, or the TTL of its addresses
// is not over; Stats counts it. Real addresses are replaced when the DNS says so, and a connection
// that begins after their TTL waits for new ones of its family: those of the other are dialled
// after them (RFC 8305 §4), and may be those of before. Datagrams stay with one real address as
// long as they flow, so that a QUIC connection keeps its peer. They change to the next where it is
// unreachable, or has not answered within a second.
//
// # Locks
//
// Table.mu guards all. It may be taken with the lock of the router's connections held, and no
// function of a caller is called with it held.
package virtual
