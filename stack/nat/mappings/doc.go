// Package mappings is the table of a NAT's mappings: it finds them by their ends, ends idle ones,
// and divides the room among the sources of clients. It knows no sockets and no datagrams.
//
// The owner of a mapping embeds an [Entry] and implements [Mapping]. Its use determines the class
// of an entry: unanswered, answered, done with DNS, or of echoes. Each class has a lifetime. A full
// group of entries, that of one source or that of all, evicts the longest-idle entry that is not
// answered.
//
// # Locks
//
// Table.mu guards the table and its entries. It is never held while a mapping is called.
package mappings
