// Package mappings is the table of the mappings of a NAT: it finds them by their ends, ends idle
// ones, and shares the room among the sources of clients. It knows no sockets and no datagrams.
//
// The owner of a mapping embeds an [Entry] and is its [Mapping]. The class of an entry follows from
// its use: unanswered, answered, done with name lookups, or of echoes. Each class has a lifetime. A
// full group of entries, that of a source or that of all, makes room by the entry that has been
// idle longest of those that are not answered.
//
// # Locks
//
// Table.mu guards the table and the entries in it. It is never held while a mapping is called.
package mappings
