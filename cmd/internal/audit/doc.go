// Package audit writes the tap's handshakes to logs: as text in tcpdump's notation, as JSON, as
// captures. It decides which records a log gets, and their fate when it cannot be written.
//
// # Theory of operation
//
//	tap ── Log.Record, Log.Segment ──▶ queue ──▶ writer ────▶ Sink ──▶ format ──▶ batch ──▶ file
//	       never block                 bounded   one goroutine                    64 KiB    one write
//	                                   └───────── one of each for each log ────────────┘    each batch
//
// A Sink puts an [Event] into its batch in one format: text, JSON (package record), JSON of other
// programs (package format) or pcapng. Hooks of logrus see each event first, as an entry with the
// Event among its fields; without hooks no entry is made, and logrus, the program's own log, takes
// no part. The formats know only how to write; which events a sink gets, and when, is the sink's
// business:
//
//   - in handshake order, a text sink writes the lines of an attempt together when its verdict
//     falls; in packet order, each line as its segment passes, and nothing when the record comes;
//   - JSON writes one object for each attempt (msg handshake) and for the first datagram from a
//     client socket to a destination (msg datagram), and another when the connection or flow is
//     over (msg flow), with keys in a fixed order and a number, seq, which Sink.add gives it
//     (sink.go); the second one names the number of the first;
//   - ocsf, ecs and zeek write the same without numbers; zeek has one line for a connection, when
//     it is over;
//   - pcapng writes the segments of an attempt as raw IP packets, each with the verdict as its
//     comment. Packets of attempts that overlap in time are therefore not in the order of their
//     time stamps.
//
// Replaying a capture uses a Sink directly and loses nothing. Behind a live tap stands a Log,
// because the tap works on the packet path and must never wait for a disk. Sinks do not wait for
// each other either.
//
// # On record before anything passes
//
// When the kernel has the record of an established connection (write(2), with sync also the disk),
// Log.OnWritten says so, and only then the router lets its payload pass. So a process that is
// killed has not carried a byte of a connection that is not in the log. The same holds for
// datagrams (Log.OnDatagramWritten), where a sink has records of them. While one batch is written,
// or synced, the next gathers: a group costs as much as one. The ends of connections, for which
// no connection waits, gather for 20 ms in a queue of their own, and wake the writer once
// (flowqueue.go).
//
// # When a log cannot be written
//
// on_full chooses the action when the disk is full or broken, or a pipe is not read:
//
//   - suspend: the batch is kept and written again, after 50 ms at first and then every second, and
//     later records wait in the queue. New connections have to wait (Log.Admission), and new
//     destinations of datagrams (Log.DatagramAdmission): the packets are dropped, after 3 s
//     refused. They also wait when a write takes longer than a second, or the queue is long.
//     Connections that had begun are recorded later and pass then, or are reset if that takes too
//     long. Established ones continue. An admitted connection finds room for its record: the queue
//     has a reserve, and admission counts the attempts that are open (Log.CountOpen). The ends of
//     connections, which are as many as those that were open, have room of their own.
//   - count: no connection waits, neither for this sink's failures nor for its records. A batch
//     that cannot be written is lost, and so are records that do not fit the queue.
//   - stop: the same as suspend, but the program ends.
//
// # Loss
//
// Every loss is counted (Log.Stats) and, in a JSON log, announced by a line of its own as soon as a
// line can be written again:
//
//	{"time":…,"level":"warning","msg":"gap","seq":17,"from":…,"to":…,"lost":3,"reason":"queue_full"}
//	{"time":…,"level":"warning","msg":"gap","seq":18,"from":…,"to":…,"refused":120,"reason":"suspended"}
//
// OCSF and ECS have an event for that, Zeek has none.
//
// where from and to are the times of the first and the last record lost, or packet kept out. The
// numbers of a log have no gap: records and gaps share one sequence, and a record that was not
// written has none. A gap in the queue, or one that found it full, is announced behind the records
// that were queued before it.
// The program's own log reports a failing sink once, and once when it works again.
//
// # Chain
//
// With chain: true records are linked, and heads vouch for the end of the log (package chain). At a
// start the log must end where its heads say (resumehead.go). If it does not, records were cut off
// or altered, or the disk has lost them in a power cut; the program's log reports it, and the chain
// continues from the head, so that the hole stays in it. A gap records it too:
//
//	{…,"msg":"gap",…,"first":18,"last":20,"reason":"cut"}        the log ended before its head
//	{…,"msg":"gap",…,"last":20,"reason":"altered"}               the log had another record than its head says
//	{…,"msg":"gap",…,"last":20,"reason":"head_missing"}          the log had no head
//	{…,"msg":"gap",…,"first":1,"last":900,"reason":"rotated"}    rotation is about to remove its oldest files: no break
//
//	{…,"msg":"gap",…,"first":1,"last":900,"reason":"fleet_full"} the same, of records that a store outside lacks: no break
//
// The last two are written before the files are removed, and the last one in every log that is
// shipped (Options.Spool, package fleet): rotated files stay while a store lacks their records, but
// for the oldest where there are too many, or new connections wait. Files that others remove, such
// as logrotate, are missing, so a chained log is best rotated by syntap. To begin a log anew,
// remove it with its head and its anchors. The chain begins in a file of its own, so that a file is
// chained as a whole or not at all; it continues over rotation and restart.
//
// # End
//
// A run that stops in order says so in the last record of each JSON log: how many records it has
// written there, and how many frames came out of the TUN and were accounted for. Frames read are
// frames accounted for: handed on, or dropped and counted.
//
//	{…,"msg":"end","seq":25,"records":{"handshake":10,"datagram":2,"flow":12,"finding":0,"gap":0},"frames":{…}}
//
// # Files
//
// Package logfile opens, writes, rotates and repairs the files. The formats add the repair of their
// last line: the beginning of a JSON record is cut off, a line of text gets its end, a capture is
// cut back to whole packets (resume.go). A file that is no such log is left alone and refused.
// Numbers continue from the last line; where the file is absent or empty, from the youngest rotated
// one.
//
// # Reload
//
// Log.Reload changes the sinks of a running log (reload.go): it opens all new ones first, and
// changes nothing where one cannot be opened. The writer of a file whose sink changes writes its
// batch before the next sink looks for the last record in the file, and then hands over its queue;
// it never stands still for longer than that. Connections and datagrams whose records are in the
// queue then wait for them, or not, as before the change. A log that cannot be written cannot be
// changed, only be replaced by one in another place.
//
// # Locks
//
// A lock is taken only while those above it in this list may be held, never the other way round:
//
//	Log.mu         the list of writers. Held for reading by everything that puts records into queues,
//	               and by Admission; for writing for a moment, by a reload.
//	admission.mu   the packets kept out since admission was closed.
//	overflow.mu    losses of a writer that wait to be announced.
//	queue.mu       records on their way.
//	flowQueue.mu   ends of connections on their way.
//
// chain.Heads has a lock that a sink takes and the goroutine that copies heads; neither holds
// another one then. No lock is held over a write to a file, except that one over the write of a
// head, less than a sector. A Sink, its formats and its file have no lock: one goroutine has them
// at a time. The functions given to OnWritten and OnDatagramWritten are called without a lock;
// those given to CountOpen and CountFrames are called with Log.mu held for reading, or none, and
// must not call the Log.
package audit
