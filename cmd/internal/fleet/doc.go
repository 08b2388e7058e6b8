// Package fleet brings the records of a router's JSON log to stores outside, where those of many
// routers lie together.
//
// # Theory of operation
//
//	NAME-TIME.json.gz, …, NAME.json ──▶ follow.Reader ──▶ batch ──▶ Put ──▶ store
//	                                                                 ▲        │ count, after 30 s
//	NAME.fleet ◀── place, when the store has all before it ──────────┴────────╯
//
// The log is the queue. Nothing is queued twice: a [Shipper] reads the files by seq, so that an
// outage costs disk and no memory, and a record that has to be sent again is read again. There is a
// goroutine for each store, with a reader, a batch and a place of its own: a store that is slow or
// gone holds up no other, and none holds up the router.
//
// # Names
//
// A record is known everywhere by (router, log, seq). The router has its name from the config. The
// log is named by its first record, 16 hex digits of its SHA-256, so that a log begun anew is
// another log by itself. Numbers have no gaps.
//
// # An answer is no proof
//
// Stores answer before they have written, answer and drop, or answer nothing and have written. So a
// place moves only over records that the store, asked later, counts (prove.go):
//
//   - An answer puts the batch into the window of records that are sent and not confirmed. After
//     30 s, in which stores write, the store is asked for all numbers of the window. Those that it
//     lacks are read again and sent again. What it lacks after three rounds it will not keep, such
//     as records older than its retention: that is counted and reported, and the place moves on.
//   - Every other end of a request is unclear. The ship then finds its place anew (find.go), as at
//     a start: it waits until the store answers at once, and three more seconds, in which the store
//     does what it was asked before; then it asks which records behind the place are there, and
//     goes on with the others.
//   - While a request takes long the store may have stood still: the proof waits for as long more.
//
// So a record is in a store at least once, and twice only if the store applies a request later than
// three seconds after it answers again. A [Receiver] that cannot be asked gets each at least once.
//
// A request that is refused as such is sent in halves, until the record is found that is refused
// (put.go). A store that refuses all of them is soon sent no more halves: the runs that are left
// count as refused as a whole.
//
// # Place
//
// NAME.fleet has for each store the name of the log, the last confirmed seq and the hash of its
// line. It is written, synced and renamed. If it is lost, the store is asked for the logs of the
// router, and the one goes on that has our oldest record.
//
// A router that has another name than when the place was written sends nothing again: under the new
// name the log begins behind the place. Records that were sent and not confirmed then, those of
// half a minute, are there under both names.
//
// A store that has another record than the log under one number shows that the log was rolled back,
// with its host or by hand, or that two hosts have one name. The log then goes on under another
// name from that number on (fork), and the router's log and metrics tell. A store that ends before
// the place has lost records, for instance to a restore from an older copy: the place moves back to
// its end, unless the records are old enough to have expired there. It waits for "fleet resend",
// which brings the same records: NAME.fleet.lock is locked by the one that does.
//
// # Spool
//
// Rotated files stay until all stores have their records; package audit asks for the place before
// it removes one, and says what happens when there are too many. Records that are gone before a
// store has them are counted, and the others go on.
//
// # Privacy
//
// [Fields] leaves out members of records before they leave the host. Records of gaps and ends stay
// whole, as do the members of the chain, so that a store can prove order and completeness of
// records whose content only the router has.
//
// # Packages
//
// Package otlp is a wire, victorialogs a store on it, jetstream another store; connect chooses by
// URL. Package resend brings a store what it has lost. Who reads stores has search for records,
// roster for routers, and proof for chains. For tests, fleettest runs the real engines, and
// routerlog makes logs.
package fleet
