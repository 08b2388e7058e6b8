// Package dial says how the far side of a flow is reached: which destinations are refused by
// policy, which are redirected, and how a host socket is made so that its packets never come back
// into our own TUN (SO_MARK).
//
// It opens sockets and starts connections; waiting for them and moving bytes is package stack's.
package dial
