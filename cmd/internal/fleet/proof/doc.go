// Package proof verifies the logs of a fleet as they lie in a store: that no record is missing,
// that none was altered, and that each log is there up to its end.
//
//	store ──▶ lines by number ──▶ chain.VerifyLines ◀── heads: in the store, in files
//
// A store vouches for a router whose log was cut, and a router for a store: the note beside its log
// (NAME.fleet) says how far the store had it, NAME.head how far the log goes. Files with heads are
// copies of both, or the output of "syntap fleet --heads". A head of package chain does not name
// the router, so it is of the one that is asked for.
//
// A log is named by its first record, so that a log begun anew is another one, and one that has
// other records than the store goes on as a fork, by a name that is made of the former and of the
// first record that differs. A log that does not begin with its first record and is no fork has
// lost its beginning to the store's retention, or to its owner: the store cannot say which.
package proof
