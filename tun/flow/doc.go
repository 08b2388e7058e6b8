// Package flow has the words that the packages along a connection share: which handshake is meant
// (Key), whether it may begin (Admission), how the router reached the far side (Dial) and how the
// connection ended (Flow). They are plain values; the packages that fill them in say when.
//
//	tap ──Key── admission ──► audit        may this SYN begin a handshake?
//	tap ◄──Dial────────────── stack        how the far side answered, before the client is answered
//	           Flow────────── stack ──► audit    how the connection ended
package flow
