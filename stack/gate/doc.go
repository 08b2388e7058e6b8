// Package gate holds bytes of a client back until policy has seen enough of them. It decides on
// bytes that lie in netstack, and knows no connections: the caller resets, waits and discards as
// the [Verdict] says.
//
// A gate has two parts. The first bytes of a client wait until they say a name (TLS, HTTP) or show
// that they will not (name.go). Towards a nameserver, DNS queries pass one by one, each decided by
// the names in its questions. The responses to forbidden queries wait until they fit between those
// of the server ([Queries]).
//
// The outbound direction of a connection owns its gate. The inbound direction calls NoteAnswer,
// Next and Follow.
package gate
