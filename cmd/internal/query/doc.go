// Package query searches JSON logs.
//
// # Theory of operation
//
//	files, decompressed ──▶ blocks of whole lines ──▶ workers: decode, filter ──▶ output, in the order of the log
//	one reader              1 MiB                     one for each processor       print, join, count
//
// The reader leaves out the records that stood in a file before (once.go), and brings JSON that
// spans several lines into one line each (read.go). A worker scans each line once (package record):
// a line that is no JSON record is named by file and line. All that is printed is clean (package
// terminal).
//
// There are two kinds of output. JSON, OCSF, ECS and the notations of tcpdump print records, each
// by itself: it has to match the filter (package filter) with the members that it has, and its time
// is its own. A line, a row of CSV, a line of Zeek, a count and a comparison are of connections,
// whose records are joined (join.go).
//
// A record holds its lines in the modern notation; the classic ones are made of its segments, and
// are those that a classic log has. Records of an older syntap have no segments: their modern lines
// are printed, and an error says so.
//
// # Joining
//
// A flow names the number of its opening within the run; a flow of an older syntap meets its
// handshake by the client's initial sequence number. Both may come in either order, as files may.
// Connections come out in the order of their begin, so that one that goes on holds back those
// behind it: at most maxQueued, then it loses its place and comes out when it is over. At the end
// of the input the rest is open, or if its run is over without a flow, its end is unknown.
//
// Held are the connections that are open, those queued behind them, and flows that wait for an
// opening of a later file; all three have a bound. Memory grows with the log only for the values of
// a count and of a comparison.
package query
