// Package ring carries messages between two processes that trust each other in nothing, through
// memory that both have.
//
// # Theory of operation
//
//	End.Send ──▶ ring ──▶ End.Receive     of each direction one ring, in one memfd(2)
//	             bell ──▶                 a byte through a socketpair(2), where the reader sleeps
//	End.Post ──▶ board ──▶ End.Posted     numbers, of which the last one counts
//
// A message is put into the ring, and read out of it, without a system call. A reader that finds
// nothing says so in the memory, looks once more, and sleeps; the next message rings its bell. So
// one wake-up serves all messages that come until it has read them.
//
// Send never blocks. Where the ring is full, messages wait in the sender's own memory, up to a
// bound, and the reader rings the sender's bell when there is room.
//
// # Trust
//
// The other process may write anything into the memory at any time. Neither end reads back its own
// words there: it keeps its own place in each ring in its own memory. The place of the other end,
// and the length of a message, are read once and checked; a message is copied out before it is
// looked at. Bytes that no End writes make Receive, and Send's next flush, fail with [ErrForged].
// The memory cannot become smaller (F_SEAL_SHRINK), which would end a process that touches it.
//
// Each process has its own end of the socket pair, so that neither can have the other's calls
// block; the end of a process is the end of its socket, which Receive returns as io.EOF. Messages
// that were sent before are delivered first; one that was only begun is not in the ring.
package ring
