// Package audit takes the tap's handshakes to where people and programs read them: text as of tcpdump, JSON, captures. It
// knows what a record looks like, not how it comes about.
//
// # Theory of operation
//
//	tap ── Log.Record, Log.Segment ──▶ queue ──▶ Log.Run ──▶ Sink ──▶ logrus ──▶ batch ──▶ file
//	       never block                 bounded   one         one for  formatter  64 KiB    one write
//	                                             goroutine   each log                      each batch
//
// A Sink is a logrus logger: a handshake is an entry with an [Event] among its fields, the formats are formatters of it, and
// hooks see it pass. The formatters know only how to write; which events a sink gets, and when, is the sink's business:
//
//   - in handshake order, a text sink writes the lines of an attempt together when its verdict falls; in packet order, each
//     line as its segment passes, and nothing when the record comes;
//   - JSON writes one object for each attempt, with keys in a fixed order and a number, seq;
//   - pcapng writes the segments of an attempt as raw IP packets, each with the verdict as its comment. Packets of attempts
//     that overlap in time are therefore not in the order of their time stamps.
//
// Replaying a capture uses a Sink directly and loses nothing. Behind a live tap stands a Log, because the tap works on the
// packet path and must never wait for a disk.
//
// # Loss
//
// A record can be lost in two places: the queue is full because the sinks are too slow, or a batch cannot be written. Both
// are counted (Log.Stats) and, in a JSON log, announced by a line of its own as soon as a line can be written again:
//
//	{"time":…,"level":"warning","msg":"gap","seq":17,"from":…,"to":…,"lost":3,"reason":"queue_full"}
//
// where from and to are the times of the first and the last record lost. The numbers of a log have no gap: records and gaps
// share one sequence, and a record that was not written has none. A gap in the queue is announced behind the records that
// were queued before it. The program's own log hears of a failing sink once, and once when it works again.
//
// # Files
//
// A log is opened for appending, without following a link, and not in a directory where everyone may rename it away. The
// bytes of a batch go out in one write, so a process that dies leaves whole lines; after a power cut or a full disk the end
// may be broken. A write that fails half way is taken back at once. What is broken when a log is opened is mended then: the
// beginning of a JSON record is cut off, a line of text gets its end, a capture is cut back to whole packets. A file that
// is not such a log is left alone and refused. Numbering goes on from the last line.
//
// Log.Reload changes the sinks of a running log, between two batches: what has gathered is written first, then new sinks are
// opened, and only when all of them are, the old ones that are not wanted any more are closed.
//
// Rotation belongs into output, which alone knows the file.
package audit
