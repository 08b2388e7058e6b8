// Package logfile keeps the files of a log: append-only, durable, rotated, compressed and repaired,
// with one writer. It knows neither the records nor the formats in them.
//
//	Write ──▶ File ──▶ NAME.EXT ── rename ──▶ NAME-TIME.EXT ── background ──▶ NAME-TIME.EXT.gz
//	batch     one write                       whole batches                   the oldest are removed
//
// # Opening
//
// A file is opened for appending, without following a link, and not in a directory where every user
// may rename it away. It has one writer: it is locked (flock(2)), and a second process gets an
// error with the process ID of the first.
//
// # Writing
//
// The bytes of a batch go out in one write, so a process that dies leaves whole lines. When a write
// or a sync fails half way, the written part is cut off at once. A pipe cannot be cut; its caller
// writes the rest, or ends the line (EndLine). A power cut or a full disk may still leave a broken
// end, which Options.Repair mends when the file is opened.
//
// # Rotation
//
// A File begins a new file when the next batch would make the present one larger than MaxSize, or
// when it is older than MaxAge; on a file system without birth times its age counts from the last
// write before it was opened. The old one is renamed to NAME-TIME.EXT, with a time later than that
// of all others, whatever the clock says. A goroutine compresses old files, in small pieces so that
// packets do not wait, and removes all but MaxFiles of them; the next run does the rest. A file
// that cannot be rotated keeps growing, and rotation is tried again after a minute.
//
// Other programs may rotate too. Reopen continues in the file that then has the log's name; until
// then records go into the renamed one. A deleted file is created again with the next batch. If a
// link, a directory or a pipe has taken the log's name, or the directory is gone, Write fails until
// that is over. A file that was truncated after a copy has lost the records in between. Their
// number is unknown, so the program's log reports it and writing continues.
//
// # Why not timberjack
//
// DeRuina/timberjack, read at v1.4.9, rotates within Write and hides the file. It opens through
// symbolic links and without O_APPEND, so the part of a batch that a full disk took could not be
// taken back, and a capture could not begin with its head; it continues in the renamed or truncated
// file, refuses a write that is larger than a whole file, counts age in days, and reports errors on
// standard error.
package logfile
