// Package flow has the types that the packages along a connection share: the identity of a
// handshake (Key), whether it may begin (Admission), how the router reached the far side (Dial) and
// how the connection ended (Flow); for datagrams, how a flow began (Datagram) and what its payload
// contained (DNS, Hello, QUIC). They are plain values. The packages that fill them in document
// when.
//
//	tap ──Key── admission ──► audit        may this SYN begin a handshake?
//	tap ◄──Dial────────────── stack        how the far side answered, before the client is answered
//	           Datagram────── stack ──► audit    a client begins to send; it leaves when that is on record
//	           Flow────────── stack ──► audit    how it ended
package flow
