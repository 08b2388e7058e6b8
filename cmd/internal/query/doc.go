// Package query searches JSON logs.
//
// # Theory of operation
//
//	files, decompressed ──▶ blocks of whole lines ──▶ workers: decode, filter ──▶ output, in the order of the log
//	one reader              1 MiB                     one for each processor       print, join, count
//
// The reader skips records that an earlier file had (once.go), and turns JSON that spans several
// lines into one line each (read.go). A worker scans each line once (package record). A line that
// is not a JSON record is reported with file and line number. All output is safe for a terminal
// (package terminal).
//
// There are two kinds of output. JSON, OCSF, ECS and tcpdump's notations print single records: each
// must match the filter (package filter) with its own members, and has its own time. Lines, CSV,
// Zeek's format, counts and comparisons are about connections, whose records are joined (join.go).
//
// A record has its lines in the modern notation. The classic ones are printed from its segments,
// and are the same as in a classic log. Records of older versions have no segments: their modern
// lines are printed, and an error says so.
//
// # Joining
//
// A flow names the number of its opening within the run. A flow of an older version is matched with
// its handshake by the client's initial sequence number. Either may come first, because files may
// come in any order. Connections are output in the order of their beginnings, so an open one holds
// back those after it. If more than maxQueued wait, it loses its place, and is output when it ends.
// Connections without an end at the end of the input are open or, if their run is over, ended in an
// unknown way.
//
// Memory holds the open connections, those queued behind them, and flows that wait for an opening
// in a later file; each of the three is bounded. Only the values of a count or a comparison grow
// with the log.
package query
