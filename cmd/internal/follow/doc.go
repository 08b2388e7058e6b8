// Package follow reads a JSON log that grows, is rotated and is compressed while it is read.
//
//	NAME-TIME.json.gz, …, NAME.json ──▶ Reader ──▶ whole lines, each record once, by its number
//
// A [Reader] reads to the end of the log and is called again for the rest. Its place is the number
// of the last record that it has handed on, and never an offset or an inode: a file that is
// renamed, compressed or copied meanwhile is the same records.
//
// It keeps the present file open. When the log's name is another file's, or the file is shorter
// than it was, it reads the rest of the one that it has, and looks for rotated files that begin
// behind the last record. While files are renamed a list of them may lack one: then the next
// record's number has a gap before it, and the Reader looks again. A gap that stays is handed on as
// it is: the records are gone.
package follow
