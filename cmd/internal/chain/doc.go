// Package chain proves that a JSON log is whole: records are linked, heads say where the log ends,
// and [Verify] compares the two.
//
//	records ──▶ prev, hash in each (record.Chain)
//	batches ──▶ Heads ──▶ NAME.head, in place      at most every 10 s ──▶ anchors
//	files   ──▶ Verify ◀── heads, the journal
//
// # Records
//
// A chained record ends in two more members:
//
//	{"time":…,"seq":17,…,"prev":"HASH","hash":"HASH"}
//
// hash is the SHA-256, in hex, of the line's bytes from the first { up to the comma before "hash".
// With a key file it is the HMAC-SHA-256 with the bytes of the file, without line ends behind them.
// prev is the hash of the record before, 64 zeros for the first. Without a key every reader can
// check a record by hand:
//
//	printf %s "${line%,\"hash\":*}" | sha256sum
//
// # Heads
//
// A head vouches for the end of a log: the number, the hash and the time of the last record, with a
// digest of its own.
//
//	{"time":…,"log":"/var/log/…","seq":17,"hash":"HASH","keyed":true,"sum":"HASH"}
//
// NAME.head beside the log is written in place after each batch, so that a process that is killed
// leaves both as they were. At most every 10 s the log goes to the disk, then its head, and the
// head is copied to each anchor, a file elsewhere or systemd's journal: a user who can change the
// log tomorrow can change NAME.head too, but not those.
//
// # Runs
//
// Records are complete where the last record of their run, its end, counts as many of each type as
// there are, and as many frames accounted for as came out of the TUN (Verified.Runs). A run that
// was killed has no end: its records are linked, and all that has left is among them, but their
// number cannot be told. The records of one run follow each other, because a log has one writer.
//
// # Without the key
//
// The hashes of a keyed chain cannot be checked without its key. Verify says then that nothing is
// proven: a chain without a key can be made anew by every user who can write the log, so that only
// heads elsewhere prove its end.
package chain
