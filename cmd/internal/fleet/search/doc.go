// Package search reads the records of many routers out of a store, for "syntap log" and its like.
//
//	store ──▶ Find: which logs have records that may match, how many
//	      ──▶ Page: the next records of some logs ──▶ cursor, one a log ──▶ merge ──▶ package query
//
// The store leaves out the records that do not match, where its attributes can tell; package query
// judges the rest, since the store knows less of a record than the record says, and may be wrong.
//
// # Each once, in order
//
// A cursor asks for the records of its log from a number on, so many at once, and puts each number
// out once, however often the store has it. The records of a log come in the order of their
// numbers; between logs the one comes first whose next record has the earlier time, as good as the
// clocks of routers are. Cursors that have few records left are filled by one question, so that a
// thousand logs of a few records do not take a thousand questions.
//
// Where records are joined, and nothing is to be printed in order, logs come some at a time, so
// that each has large pages. In the end the last record of each log comes in any case: if it is of
// another run, the connections of earlier ones are over.
//
// All cursors together hold a bounded number of records, and a bounded number of bytes: a page that
// is too large is asked for again in part.
//
// # Following
//
// New records are found by their numbers, once a second. VictoriaLogs' own tail leaves out a record
// that is older than the last one of its stream that it has shown, and a handshake's record has the
// time of its SYN. A number that is not there holds back those behind it for some seconds, as a
// store makes parts of a batch visible at different times.
package search
