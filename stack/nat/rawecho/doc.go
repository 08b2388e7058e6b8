// Package rawecho lets all echo mappings at one address of the host share one raw socket, if the
// host grants no ping sockets (net.ipv4.ping_group_range).
//
// The kernel copies each ICMP packet for an address to each raw socket there (Linux,
// net/ipv4/raw.c, raw_v4_input): with a socket for each mapping, one client could make the host
// copy each packet thousands of times. Each mapping has an identifier of its own; a filter in the
// kernel drops all others.
//
// # Locks
//
// Socket.sending is taken first. Sockets.mu guards the set of sockets, Socket.idents the
// identifiers of one; the latter is taken with the former held.
package rawecho
