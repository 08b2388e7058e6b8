// Package flow has the words that the packages along a connection share: which handshake is meant
// (Key), whether it may begin (Admission), how the router reached the far side (Dial) and how the
// connection ended (Flow); of datagrams, what began (Datagram) and what the payload said (DNS,
// Hello, QUIC). They are plain values; the packages that fill them in say when.
//
//	tap ──Key── admission ──► audit        may this SYN begin a handshake?
//	tap ◄──Dial────────────── stack        how the far side answered, before the client is answered
//	           Datagram────── stack ──► audit    a client begins to send; it leaves when that is on record
//	           Flow────────── stack ──► audit    how it ended
package flow
