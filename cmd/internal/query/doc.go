// Package query searches JSON logs.
//
// # Theory of operation
//
//	files, decompressed ──▶ blocks of whole lines ──▶ workers: filter, print ──▶ output, in the order of the log
//	one reader              1 MiB                     one for each processor
//
// Each line is checked first: what is no JSON record is named by file and line, and a record in
// another form than ours is brought into it (package record). The reader leaves out what stands in
// a file before too (once.go), and has JSON that goes over several lines in one each (read.go).
// What is printed is clean (package terminal).
//
// A [Filter] looks at a record's members where they stand (package record) and decodes nothing; a
// record matches if it has every member that is asked for. What is printed is the record itself, or
// its text lines: records hold those of the modern dialect. The classic ones are made from them
// (classic.go): they differ in form only, but for the DF bit, which classic shows and modern does
// not. That of a SYN and a SYN-ACK is in the record; other segments get the one of their sender's.
// The flow labels of IPv6, which classic shows too, are not in a record and left out.
package query
