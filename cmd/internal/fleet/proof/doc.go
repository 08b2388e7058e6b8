// Package proof verifies the logs of a fleet in a store: no record is missing, none was altered,
// and each log is there up to its end.
//
//	store ──▶ lines by number ──▶ chain.VerifyLines ◀── heads: in the store, in files
//
// A store can prove that a router's log was cut, and a router that a store has lost records: the
// note beside its log (NAME.fleet) says how far the store had it, NAME.head how far the log goes.
// Files with heads are copies of both, or the output of "syntap fleet --heads". A head of package
// chain does not name the router, so it counts for the router that is being verified.
//
// A log is named by its first record, so a log begun anew is another log. A log with other records
// than the store continues as a fork, whose name is made from the former name and the first record
// that differs. A log that does not begin with its first record, and is no fork, has lost its
// beginning to the store's retention or to its owner: the store cannot tell which.
package proof
