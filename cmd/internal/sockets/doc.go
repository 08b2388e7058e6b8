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
// The keeper looks at the socket's family before it does. A TCP socket it may send back to have the
// filter of package farseq attached ([Pool.Attach]), with two numbers from which the keeper makes
// the filter: Linux 6.18.44 lets no process without CAP_NET_ADMIN attach one. The keeper looks at
// the socket's family, type, protocol and mark before it does, and attaches 32 a second. The router
// detaches it, and a filter ends with its socket. A keeper without the capability answers EPERM.
//
// Sockets of the router's own making would be of no use with the mark: the host's rules take those
// for another's which have another user.
//
// # Trust
//
// The keeper trusts nothing that the router says: a message of another length, an unknown kind or
// count is answered with EINVAL. It sets what its own config says, and of the router's choosing
// nothing but the two numbers of a filter. One request is served at a time; a router that reads no
// answers keeps only itself waiting. [Server.Refuse] ends that for a keeper that has found its
// router out. All that the keeper has sent is the router's: what a router can hold its own limit of
// open files bounds.
package sockets
