// Package peek looks at the bytes of a connection while they pass: it copies none that it does not
// have to, and makes none wait.
//
// [Views] are the bytes of a client where they lie in netstack's receive queue. [FirstBytes] is the
// name that they say in TLS or HTTP. [DNS] has the messages of a connection to a nameserver, both
// ways. What is kept of them is charged to the client; one that has used up its memory is looked at
// no more.
//
// A direction of a connection owns all of it, but for the questions in DNS that wait for their
// answers, which have a lock.
package peek
