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
// programs (package format) or pcapng. Hooks of logrus get each event first, as an entry with the
// Event among its fields. Without hooks no entry is made, and logrus, the program's own log, is not
// involved. A format only writes; the sink decides which events it gets, and when:
//
//   - in handshake order, a text sink writes the lines of an attempt together at its verdict; in
//     packet order, it writes each line as its segment passes, and nothing at the record;
//   - JSON writes one object for each attempt (msg handshake) and for the first datagram from a
//     client socket to a destination (msg datagram), and another when the connection or flow is
//     over (msg flow), with keys in a fixed order and a number, seq, which Sink.add gives it
//     (sink.go); the second one names the number of the first;
//   - ocsf, ecs and zeek write the same without numbers; zeek has one line for a connection, when
//     it is over;
//   - pcapng writes the segments of an attempt as raw IP packets, each with the verdict as its
//     comment. So packets of attempts that overlap in time are not ordered by time stamp.
//
// Replaying a capture uses a Sink directly and loses nothing. A live tap uses a Log, because the
// tap works on the packet path and must never wait for a disk. Nor do sinks wait for each other.
//
// # On record before anything passes
//
// The function given to Log.OnWritten is called when the kernel has the record of an established
// connection (write(2); with sync, when the disk has it). Only then does the router let the payload
// pass. So even a killed process has carried no byte of a connection that is not in the log. The
// same holds for datagrams (Log.OnDatagramWritten), if a sink records them. While one batch is
// written or synced, the next one gathers: a group costs as much as one. No connection waits for
// the record of an end, so these gather for 20 ms in a queue of their own, and wake the writer once
// (flowqueue.go).
//
// # When a log cannot be written
//
// on_full chooses the action when the disk is full or broken, or a pipe is not read:
//
//   - suspend: the batch is kept and written again, after 50 ms at first and then every second, and
//     later records wait in the queue. Log.State says that new connections must wait, and new
//     destinations of datagrams: their packets are dropped, and refused after 3 s (package remote).
//     They also wait while a write takes longer than a second, or the queue is long. Connections
//     that had begun are recorded later and pass then, or are reset if that takes too long.
//     Established ones continue. There is always room for the record of an admitted connection: the
//     queue has a reserve, and Log.State says how many records find room. The ends of connections,
//     which are as many as were open, have room of their own.
//   - count: no connection waits for this sink's failures or its records. A batch that cannot be
//     written is lost, and so are records that do not fit into the queue.
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
// written has none. A gap is announced after the records that were queued before it.
// The program's own log reports a failing sink once, and once when it works again.
//
// # Chain
//
// With chain: true records are linked, and heads prove the end of the log (package chain). At a
// start the log must end where its heads say (resumehead.go). If it does not, records were cut off
// or altered, or the disk lost them in a power cut. The program's log reports that, and the chain
// continues from the head, so that the hole stays visible. A gap records it too:
//
//	{…,"msg":"gap",…,"first":18,"last":20,"reason":"cut"}        the log ended before its head
//	{…,"msg":"gap",…,"last":20,"reason":"altered"}               the log had another record than its head says
//	{…,"msg":"gap",…,"last":20,"reason":"head_missing"}          the log had no head
//	{…,"msg":"gap",…,"first":1,"last":900,"reason":"rotated"}    rotation is about to remove its oldest files: no break
//
//	{…,"msg":"gap",…,"first":1,"last":900,"reason":"fleet_full"} the same, of records that a store outside lacks: no break
//
// The last two are written before the files are removed, the last one in every log that is shipped
// (Options.Spool, package fleet): rotated files stay while a store lacks their records; if there
// are too many, the oldest go, or new connections wait. Files that other programs such as logrotate
// remove count as missing, so syntap should rotate a chained log. To start a log anew, remove it
// with its head and its anchors. The chain begins in a new file, so that a file is chained as a
// whole or not at all. It continues over rotation and restart.
//
// # End
//
// A run that stops in order writes a last record to each JSON log, with the number of its records
// there, and the numbers of frames that came out of the TUN and were accounted for: handed on, or
// dropped and counted. They are the sum over all routers of the run. Of one that has died the
// kernel's count of the TUN tells how many it has read (died), but for exec's, whose TUN is in
// another network.
//
//	{…,"msg":"end","seq":25,"records":{"handshake":10,"datagram":2,"flow":12,"finding":0,"gap":0},"frames":{…}}
//
// # Files
//
// Package logfile opens, writes, rotates and repairs the files. The formats repair the last line: a
// partial JSON record is cut off, a line of text is ended, a capture is cut back to whole packets
// (resume.go). A file that is not such a log is left alone and refused. Numbers continue from the
// last line or, if the file is absent or empty, from the youngest rotated one.
//
// # Reload
//
// Log.Reload changes the sinks of a running log (reload.go). It opens all new ones first, and
// changes nothing if one cannot be opened. The writer of a file whose sink changes writes its batch
// before the next sink looks for the last record in the file, and then hands over its queue; it
// never pauses for longer than that. Connections and datagrams whose records are queued at that
// moment wait for them, or not, as before the change. A log that cannot be written cannot be
// changed, only replaced by one at another place.
//
// # Locks
//
// Locks are taken in this order:
//
//	Log.mu         the list of writers. Held for reading by everything that puts records into queues,
//	               and by State; for writing for a moment, by a reload.
//	overflow.mu    losses of a writer that wait to be announced.
//	queue.mu       records on their way.
//	flowQueue.mu   ends of connections on their way.
//
// A sink and the goroutine that copies heads take the lock of chain.Heads; neither holds another
// one then. It is the only lock held over a write to a file, that of a head, which is less than a
// sector. A Sink, its formats and its file have no lock: one goroutine has them at a time. The
// functions given to OnWritten and OnDatagramWritten are called without a lock.
package audit
