// Package recent keeps the last records of connections and flows for those that show them, in
// memory that one process writes and others read.
//
// # Theory of operation
//
//	Writer ──▶ entries, bytes ──▶ Reader, List     one memfd(2), which readers map read-only
//
// The [Writer] copies each record into the memory, over the oldest one. It wakes none, waits for
// none, and reads nothing back: its own places and numbers are in its own memory, so that a reader
// can neither hold it up nor mislead it. A [Reader] looks when it has a use for records, and finds
// those that are there by then. So they cost a copy each while none looks, and outlast readers.
//
// Two lists name them: one has all records by which connections and flows begin and end, the other
// the handshakes among them, whose bytes are kept by themselves, so that no flood of datagrams
// pushes them out. Records are numbered from 1, in each list and, by Seq, each type by itself. The
// record of an end names that of its opening. Bytes are those of package compact, or the line of a
// log of an earlier run ([Writer.Refill]).
//
// # Reading beside the writer
//
// An entry has the number of its record, which the writer clears while it writes another. Bytes
// that are about to be written over are reserved first. A reader looks at both again after it has
// copied a record, and takes it for gone if they have changed.
package recent
