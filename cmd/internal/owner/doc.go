// Package owner finds the local process that opens a connection: the user of its socket, the number and the name of the
// process.
//
// # Theory of operation
//
//	SYN ──▶ sock_diag: socket of these addresses ──▶ uid, inode ──▶ process with that inode among its descriptors ──▶ name
//	        one question to the kernel                              what was seen before, the last processes, all of /proc
//
// The kernel answers the first question at once. The second it does not answer: descriptors have to be read. A process that
// has opened a connection is likely to open the next one, under a descriptor that has held one before, so these are looked at
// first, then all of such processes, then all of /proc, the newest processes first. This reads ten thousand descriptors a
// second at most, in the long run, at some three microseconds each; when that is used up only what is known is answered. Then
// a record has a uid, and no process. Of more than a hundred connections a second those beyond have neither, once two hundred
// are saved up and spent (Finder.Allow): a search takes a third of what the router does for a connection, or more.
//
// To see another user's descriptors takes CAP_SYS_PTRACE, or root without restrictions; without it a record has the uid only.
package owner
