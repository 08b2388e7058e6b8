// Package owner finds the local process that opens a connection: the user of its socket, the number and the name of the
// process.
//
// # Theory of operation
//
//	SYN ──▶ sock_diag: socket of these addresses ──▶ uid, inode ──▶ process with that inode among its descriptors ──▶ name
//	        one question to the kernel                              what was seen before, the last processes, all of /proc
//
// The kernel answers the first question at once. The second it does not answer: descriptors have to be read. A process that
// has opened a connection is likely to open the next one, under the same descriptor, so that is looked at first, then all of
// that process's, then all of /proc, the newest processes first. Such a search is made a hundred times a second at most, in
// the long run, and reads ten thousand descriptors a second, at some five microseconds each; beyond that only what is known,
// or guessed at once, is answered. Then a record has a uid, and no process. Of more than five hundred connections a second
// those beyond have neither.
//
// To see another user's descriptors takes CAP_SYS_PTRACE, or root without restrictions; without it a record has the uid only.
package owner
