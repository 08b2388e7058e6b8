// Package chain proves that a JSON log is complete: records are linked, heads record where the log
// ends, and [Verify] compares the two.
//
//	records ──▶ prev, hash in each (record.Chain)
//	batches ──▶ Heads ──▶ NAME.head, in place      at most every 10 s ──▶ anchors
//	files   ──▶ Verify ◀── heads, the journal
//
// # Records
//
// A chained record ends with two more members:
//
//	{"time":…,"seq":17,…,"prev":"HASH","hash":"HASH"}
//
// hash is the SHA-256, in hex, of the line's bytes from the first { up to the comma before "hash".
// With a key file it is the HMAC-SHA-256, keyed with the bytes of the file without trailing line
// ends. prev is the hash of the record before, 64 zeros for the first. Without a key, every reader
// can check a record by hand:
//
//	printf %s "${line%,\"hash\":*}" | sha256sum
//
// # Heads
//
// A head proves the end of a log. It has the number, the hash and the time of the last record, and
// a digest of its own.
//
//	{"time":…,"log":"/var/log/…","seq":17,"hash":"HASH","keyed":true,"sum":"HASH"}
//
// NAME.head beside the log is written in place after each batch, so that a killed process leaves
// log and head consistent. At most every 10 s the log is synced to disk, then its head, and the
// head is copied to each anchor: a file elsewhere, or systemd's journal. A user who can change the
// log later can change NAME.head too, but not the anchors.
//
// # Runs
//
// Records are complete if the last record of their run, its end, has the number of records of each
// type, and if as many frames are accounted for as came out of the TUN (Verified.Runs), by all
// routers of the run; those of routers that died are accounted for as such. A run that was killed
// has no end: its records are linked, and include everything that has left, but their
// number cannot be checked. The records of one run are contiguous, because a log has one writer.
//
// # Without the key
//
// The hashes of a keyed chain cannot be checked without its key; Verify then reports that nothing
// is proven. Every user who can write the log can make a chain without a key anew, so only heads
// elsewhere prove its end.
package chain
