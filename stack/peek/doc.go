// Package peek reads the bytes of a connection while they pass. It copies as few as possible, and
// delays none.
//
// [Views] are the bytes of a client in netstack's receive queue. [FirstBytes] reads the name in TLS
// or HTTP. [DNS] reads the messages of a connection to a nameserver, in both directions. Kept bytes
// are charged to the client; the connections of a client without memory left are not read.
//
// A direction of a connection owns all of it, except the questions in DNS that wait for their
// answers, which have a lock.
package peek
