// Package follow reads a JSON log that grows, is rotated and is compressed while it is read.
//
//	NAME-TIME.json.gz, …, NAME.json ──▶ Reader ──▶ whole lines, each record once, by its number
//
// A [Reader] reads to the end of the log, and is called again for later records. Its place is the
// number of the last record that it has handed on, not an offset or an inode, so a file may be
// renamed, compressed or copied meanwhile.
//
// It keeps the present file open. When the log's name refers to another file, or the file has
// become shorter, it reads the rest of the open one, and looks for rotated files that begin after
// the last record. A list of files that are being renamed may lack one. Then the next record's
// number has a gap before it, and the Reader looks again. A gap that stays is handed on: the
// records are gone.
package follow
