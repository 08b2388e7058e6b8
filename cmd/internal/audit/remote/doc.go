// Package remote has a router's records written by another process, the keeper, which the router
// cannot change.
//
// # Theory of operation
//
//	router                                   keeper
//	tap, stack ──▶ Log ══ records ═════════▶ Writer ──▶ audit.Log ──▶ files
//	         ◀──────  ◀══ written ══════════        ◀── OnWritten
//	                  ◀── board: admission ─
//
// [Log] stands in the router where an audit.Log would. It sends each record to the keeper, in the
// form of package record/compact, through the memory of package ring. The [Writer] of the keeper
// hands it to its audit.Log, which numbers, chains and writes it, and tells when the kernel has it.
// Only then the router lets payload pass: on record first holds across the boundary.
//
// The keeper posts whether new connections have to wait, and how many records find room. The router
// counts those that are on their way and those that have yet to come, so that an admitted
// connection finds room for its record. A keeper that does not read for a second keeps new
// connections out, too. Where the ring is full, records wait in the router; those that do not fit
// there are lost, counted, and announced. Where the log has no sink, nothing is sent and nothing
// waits.
//
// # Owners
//
// The record of a datagram may bring a question for the program that has sent it. The Writer has
// the question answered (Options.Search), and then hands the record to the log; the end of that
// flow waits behind it. So a datagram waits for one answer of the keeper, not for two. The router
// learns the result for its counters alone.
//
// That of a connection comes before its record is there, and holds the answer to its client up: the
// questions for all that are dialled at a time go by the same ring ([Log.Ask]), and so do the
// answers.
//
// # Openings
//
// A record by which a connection or flow begins has an id, and the record of its end names it. The
// keeper keeps the owner and the name that came with the first, and the number that the log gave
// it, for the second, which cannot say another. An end has to be that of its opening: the same
// ends, the same initial sequence number, once.
//
// # A router that lies
//
// A message that no router sends ends the Writer with an error, and has the log say so: a finding
// of kind invalid_record. The keeper then ends the router. Before it makes a connection, the router
// announces it ([Log.Announce]): announcements and records are compared with the packets that the
// kernel has seen (package sent). A well-formed record with a false client, name or program is not
// found.
package remote
