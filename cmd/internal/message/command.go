//go:build linux

package message

import (
	"net/netip"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// CommandRouting is what a router of exec gets besides.
type CommandRouting struct {
	Redirects           *namespace.Redirects
	Others              map[netip.AddrPort]netip.AddrPort // destinations that stand for others
	Virtual             *VirtualPool
	Network             int  // files of an owner.Network that come along
	Device              int  // of it
	Attempts, Responses bool // that are to be told
}

// files returns how many files come along.
func (o *CommandRouting) files() int {
	if o.Virtual != nil {
		return DNSFiles + o.Network
	}
	return o.Network
}

// DNSFiles is how many files come along for the sockets at which a router answers the command's
// queries: of datagrams, and of streams.
const DNSFiles = 2

// Told is what a router of exec tells of its command, by the ring, so that it comes before the end
// of the records. The keeper believes it as little as records.
type Told struct {
	Attempt  *attempt.Attempt `json:",omitempty"`
	Response *flow.DNS        `json:",omitempty"`
	Owner    *record.Owner    `json:",omitempty"` // of Response; nil = unknown
}
