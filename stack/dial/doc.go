// Package dial reaches the far side of a flow. It decides which destinations policy refuses or
// redirects, opens host sockets whose packets never come back through our own TUN (SO_MARK), and
// starts connections. Package stack waits for them and moves their bytes.
//
// Three rulings decide on a destination, in this order: the rule that denies a flow or allows a
// literal address (package egress, asked once per flow through Options.Rules), Policy on the
// address that is really dialled, and the default of the rules. The host's programs can always
// reach this host's nameservers: if the rules would deny that, for DNS queries only.
package dial
