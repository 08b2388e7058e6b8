// Package sockets has one process make the sockets of another, which lacks the capabilities to mark
// them.
//
// # Theory of operation
//
//	router: Pool ──▶ count, kind ──▶ keeper: Server
//	             ◀── descriptors ──  socket(2), SO_MARK, SO_BINDTODEVICE
//
// The two share a socket of unix(7) that keeps messages apart (SOCK_SEQPACKET). The router keeps a
// stock of sockets of each kind, which come by SCM_RIGHTS, up to [Batch] at a time: it asks for
// more while half of them are left, so that a connection need not wait. A kind that is seldom used
// has a small stock: each refill doubles it. Sockets for echoes are made one by one.
//
// A socket that the router has, it may send back to have it bound to a system port ([Pool.Bind]).
// The keeper looks at the socket's family before it does.
//
// Sockets of the router's own making would be of no use with the mark: the host's rules take those
// for another's which have another user.
//
// # Trust
//
// The keeper trusts nothing that the router says: a message of another length, an unknown kind or
// count is answered with EINVAL. It sets what its own config says, never an option of the router's
// choosing. One request is served at a time; a router that reads no answers keeps only itself
// waiting. [Server.Refuse] ends that for a keeper that has found its router out. All that the
// keeper has sent is the router's: what a router can hold its own limit of open files bounds.
package sockets
