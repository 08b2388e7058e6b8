package flow

import (
	"net/netip"
	"time"
)

// Datagram is the opening of a flow without a handshake: the first datagram or echo request from
// one client socket to one destination, or a DNS query. The [Flow] that ends it points to it, so
// that it is tied to its record.
type Datagram struct {
	Proto
	Client, Server netip.AddrPort // as the client addressed them; of an echo, its identifier and 0
	Time           time.Time
	Length         int            // bytes of payload
	Upstream       netip.AddrPort // to which the host sends; the zero value where Denied
	Denied         bool           // policy forbids the destination: it does not leave
	Decision       *Decision      // of policy; nil where none was asked
	DNS            *DNS           // of a query; nil elsewhere
	QUIC           *QUIC          // of an Initial packet; nil elsewhere
	Opening        Opening        // for the record of the end
}

// Opening is the part of a first record that the record of the end repeats (record.Opening of
// cmd/internal). The stack keeps it with the connection or flow, and does not look into it.
type Opening interface{ IsOpening() }

// Outcome is the fate of a flow without a handshake.
type Outcome uint8

const (
	NoAnswer     Outcome = iota // nothing came back
	Answered                    // a datagram came back
	PortRefused                 // ICMP "port unreachable" came back
	NotReachable                // another ICMP error came back, or the host has no route
)

// String returns the outcome in the words of handshake outcomes.
func (o Outcome) String() string { return word(o, "no_reply", "answered", "refused", "unreachable") }
