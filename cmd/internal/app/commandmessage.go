//go:build linux

package app

import (
	"net/netip"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// commandRouting is what a router of exec gets besides.
type commandRouting struct {
	Redirects           *namespace.Redirects
	Others              map[netip.AddrPort]netip.AddrPort // Execution.Redirect
	Virtual             *virtualPool
	Network             int  // files of an owner.Network that come along
	Device              int  // of it
	Attempts, Responses bool // that are to be told
}

// files returns how many files come along.
func (o *commandRouting) files() int {
	if o.Virtual != nil {
		return dnsFiles + o.Network
	}
	return o.Network
}

// told is what a router of exec tells of its command, by the ring, so that it comes before the end
// of the records. The keeper believes it as little as records.
type told struct {
	Attempt  *attempt.Attempt `json:",omitempty"`
	Response *flow.DNS        `json:",omitempty"`
	Owner    *record.Owner    `json:",omitempty"` // of Response; nil = unknown
}
