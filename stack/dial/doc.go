// Package dial says how the far side of a flow is reached: which destinations are refused by
// policy, which are redirected, and how a host socket is made so that its packets never come back
// into our own TUN (SO_MARK).
//
// Three things decide on a destination, in this order: the ruling of the rules by which a flow may
// be denied or a literal address allowed (package egress, asked once a flow by Options.Rules), then
// Policy on the address really dialled, then the default of the rules. A nameserver of this host
// stays within reach of the host's programs: where the rules would deny it, for DNS queries alone.
//
// It opens sockets and starts connections; waiting for them and moving bytes is package stack's.
package dial
