// Package search reads the records of many routers from a store, for "syntap log" and similar
// commands.
//
//	store ──▶ Find: which logs have records that may match, how many
//	      ──▶ Page: the next records of some logs ──▶ cursor, one a log ──▶ merge ──▶ package query
//
// The store leaves out records that do not match, as far as its attributes tell. Package query
// filters the rest, because the store knows only part of a record, and may be wrong.
//
// # Each once, in order
//
// A cursor asks for pages of its log from a number on, and outputs each number once, however often
// the store has it. The records of a log come in the order of their numbers. Among logs, the one
// whose next record has the earliest time comes first, as exactly as the routers' clocks allow. One
// question fills several cursors that have few records left, so that a thousand logs of a few
// records do not take a thousand questions.
//
// If records are joined and need not be printed in order, logs are read in groups, so that each has
// large pages. The last record of each log is read in any case: if it is of another run, the
// connections of earlier runs are over.
//
// All cursors together hold a bounded number of records and of bytes. A page that is too large is
// asked for again in parts.
//
// # Following
//
// New records are found by their numbers, once a second. VictoriaLogs' own tail leaves out records
// that are older than the last one that it has shown of their stream, but a handshake's record has
// the time of its SYN. A missing number holds back later ones for some seconds, because a store
// makes parts of a batch visible at different times.
package search
