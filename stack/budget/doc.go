// Package budget shares a bound on memory among the connections of clients. It knows no
// connections: it counts the bytes that they are charged for.
//
// An [Account] holds the charges of a source of connections: of one client address, of the IPv6 /64
// that one machine may have to itself, of the programs of this host, or of all together. A [Payer]
// charges one connection to all accounts that it belongs to. The bounds of an account are parts of
// the limit: for new connections, for those that move (loans), and three marks above which buffers
// are smaller.
//
// Charges are atomic additions and take no lock. Budget.mu guards the accounts of sources, which
// come with their first payer and go with the last.
package budget
