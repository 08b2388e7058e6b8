package flow

import (
	"net/netip"
	"time"

	"syntap/tun/packet"
)

// Dial tells how the router's connection to the far side came about, or failed.
type Dial struct {
	Key
	Upstream
	Answer Answer
}

// String returns the key and the answer, with the error where there is one.
func (d Dial) String() string {
	s := d.Key.String() + ": " + d.Answer.String()
	if d.Error != "" {
		s += " (" + d.Error + ")"
	}
	return s
}

// Upstream is the host socket by which the far side was dialled.
type Upstream struct {
	Local, Remote netip.AddrPort // Local is the zero value where no socket was bound
	DialTime      time.Duration
	MSS           packet.MSS // as set by a rule, in bytes; 0 means the kernel's
	Error         string     // errno name such as ECONNREFUSED; empty if connected or denied
	Decision      *Decision  // of policy; nil where none was asked
}

// Decision is what policy says of a destination. It is shared by all that it is said of.
type Decision struct {
	Deny   bool
	Rule   string // its place in the config, such as "egress.deny"; "default" where none decided
	Reason string // of a denial, one sentence without a final period

	Real netip.Addr // that it denies, where the destination stands for a name

	OnlyDNS bool // it allows DNS queries alone, to a nameserver of this host
	ByName  bool // it allows the server for its name alone
}

// Answer is the router's answer to the client's SYN.
type Answer uint8

const (
	Connected   Answer = iota // SYN-ACK
	Refused                   // RST
	Unreachable               // ICMP "destination unreachable"
	Denied                    // ICMP "administratively prohibited": policy forbids the destination
	NoReply                   // none: the far side did not answer, or this host's own socket failed
	Dropped                   // none: a SYN was dropped and nothing dialled; the client's next SYN may begin a dial
	Answers                   // their number
)

// String returns the answer in the words of handshake outcomes.
func (a Answer) String() string {
	return word(a, "connected", "refused", "unreachable", "denied", "no_reply", "dropped")
}
