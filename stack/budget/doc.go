// Package budget shares a bound on memory among the connections of clients. It knows no
// connections: it counts the bytes that they are charged for.
//
// An [Account] holds the charges of one source of connections: a client address, an IPv6 /64, which
// one machine may have to itself, the programs of this host, or all sources together. A [Payer]
// charges one connection to all accounts that it belongs to. An account's bounds are fractions of
// the limit: one for new connections, one for connections that move much (loans), and three marks
// above which buffers are smaller.
//
// Charges are atomic additions and take no lock. Budget.mu guards the accounts of sources, which
// exist from their first payer to their last.
package budget
