// Package fleet ships the records of a router's JSON log to stores that have the records of many
// routers.
//
// # Theory of operation
//
//	NAME-TIME.json.gz, …, NAME.json ──▶ follow.Reader ──▶ batch ──▶ Put ──▶ store
//	                                                                 ▲        │ count, after 30 s
//	NAME.fleet ◀── place, when the store has all before it ──────────┴────────╯
//
// The log is the queue. A [Shipper] reads the files by seq, so that an outage costs disk and no
// memory, and a record that must be sent again is read again. Each store has a goroutine with a
// reader, a batch and a place of its own: a slow or dead store delays no other, and none delays the
// router.
//
// # Names
//
// (router, log, seq) identifies a record everywhere. The config names the router. The first 16 hex
// digits of the SHA-256 of its first record name the log, so a log begun anew is another log.
// Numbers have no gaps.
//
// # Proof of delivery
//
// A store may answer before it has written, answer and drop, or write and not answer. So a place
// moves only over records that the store, when asked later, counts (prove.go):
//
//   - An answer puts the batch into the window of records that are sent and not confirmed. After 30
//     s, in which stores write, the store is asked for all numbers of the window. Records that it
//     lacks are sent again. Those that it lacks after three rounds it will not keep, for instance
//     because they are older than its retention: they are counted and reported, and the place moves
//     on.
//   - Every other end of a request is unclear. Then the shipper finds its place anew (find.go), as
//     at a start. It waits until the store answers at once, and three more seconds, in which the
//     store executes earlier requests. Then it asks which records after the place are there, and
//     continues with the others.
//   - If a request takes long, the store may have stood still, so the proof waits for that much
//     longer.
//
// So a store gets a record at least once, and twice only if it executes a request later than three
// seconds after it answers again. A [Receiver] that cannot be asked gets each record at least once.
//
// A request that is refused as invalid is sent in halves, until the refused record is found
// (put.go). If a store refuses all records, the shipper soon stops splitting: the remaining runs
// count as refused as a whole.
//
// # Place
//
// NAME.fleet has, for each store, the name of the log, the last confirmed seq and the hash of its
// line. It is written, synced and renamed. If it is lost, the store is asked for the logs of the
// router, and the log that has our oldest record continues.
//
// A router that was renamed since the place was written sends nothing again: under the new name the
// log begins after the place. Records that were sent and not yet confirmed, those of half a minute,
// are then there under both names.
//
// If a store has another record than the log under one number, the log was rolled back, with its
// host or by hand, or two hosts have one name. From that number on the log continues under another
// name (a fork), and the router's log and metrics report it. If a store ends before the place, it
// has lost records, for instance because an older copy was restored: the place moves back to its
// end, unless the records are old enough to have expired there. The shipper waits for "fleet
// resend", which sends the same records and locks NAME.fleet.lock meanwhile.
//
// # Spool
//
// Rotated files stay until all stores have their records. Package audit asks for the place before
// it removes one, and has the policy when there are too many. Records that are removed before a
// store has them are counted, and the others continue.
//
// # Privacy
//
// [Fields] removes members of records before they leave the host. Records of gaps and ends stay
// complete, as do the members of the chain, so that a store can prove order and completeness of
// records whose contents only the router has.
//
// # Packages
//
// Package otlp is a protocol, victorialogs a store on top of it, jetstream another store; connect
// chooses by URL. Package resend sends a store the records that it has lost. Readers of stores use
// search for records, roster for routers, and proof for chains. For tests, fleettest runs the real
// engines, and routerlog makes logs.
package fleet
