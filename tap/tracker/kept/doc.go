// Package kept holds segments of a capture that are to be looked at again: those that may stand
// ahead of their SYN, by at most a second or 1,000 segments, and those that may yet be the SYN-ACK
// or the third segment of a handshake.
//
// A Segment is a copy of a segment's headers, at most 512 bytes. Recent is a ring of the last 1,000
// segments without SYN, RST and data, of all flows without a handshake, each chained to the one
// before of a flow with the same hash. It takes some 210 KiB with its first segment and no more
// later.
//
// Neither has a lock: Recent is for the one goroutine that reads the capture, and a Segment belongs
// to a flow, which the lock of the tracker's shard guards.
package kept
