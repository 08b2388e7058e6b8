package tap

import "syntap/tap/handshake"

// The words of handshakes, for packages that name them by this one.
type (
	Record  = handshake.Record
	Owner   = handshake.Owner
	Offer   = handshake.Offer
	Segment = handshake.Segment
	Rewrite = handshake.Rewrite
	Outcome = handshake.Outcome
)

const (
	Established = handshake.Established
	Refused     = handshake.Refused
	Unreachable = handshake.Unreachable
	Denied      = handshake.Denied
	Aborted     = handshake.Aborted
	NoReply     = handshake.NoReply
	HalfOpen    = handshake.HalfOpen

	Client = handshake.Client
	Server = handshake.Server
)

// Outcomes returns all outcomes.
func Outcomes() []Outcome { return handshake.Outcomes() }
