// Package query searches JSON logs.
//
// # Theory of operation
//
//	files, decompressed ──▶ blocks of whole lines ──▶ workers: filter, print ──▶ output, in the order of the log
//	one reader              1 MiB                     one for each processor
//
// Each line is scanned first (package record): a line that is no JSON record is named by file and
// line. The reader leaves out the records that stood in a file before (once.go), and brings JSON
// that spans several lines into one line each (read.go). All that is printed is clean (package
// terminal).
//
// A [Filter] looks at members where they stand in a record and decodes nothing; a record matches if
// it has every member that the filter names. The output is the records themselves, or their text. A
// record holds its lines in the modern notation; the classic ones are made of its segments, and are
// those that a classic log has. Records of an older syntap have no segments: their modern lines are
// printed, and an error says so.
package query
