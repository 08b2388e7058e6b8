//go:build linux

package app

import (
	"net/netip"
	"time"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/isolate"
)

// An order is a message of the keeper to its router.
type order struct {
	Begin  *beginning `json:",omitempty"` // the first, with the config's text
	Route  *routing   `json:",omitempty"` // the second, with the queues of the TUN, and the lock on the journal if there is one
	Reload *reloading `json:",omitempty"` // with the config's text, unless that could not be read
	Past   *uint64    `json:",omitempty"` // packets that were refused on their way past the TUN
	Stores *stores    `json:",omitempty"` // that the log is sent to
	Users  *[]uint32  `json:",omitempty"` // of resolvers of this host

	// Of the host's files, none of which a router opens at work (files.go).
	Nameservers *[]netip.Addr `json:",omitempty"`
	Passwd      bool          `json:",omitempty"` // with /etc/passwd, which has changed
	Hosts       bool          `json:",omitempty"` // with /etc/hosts, if there is one: it counts from the next reload on

	Ping bool `json:",omitempty"`
	Stop bool `json:",omitempty"`
}

type beginning struct {
	File  string    // of the config
	Began time.Time // the run
}

// stores are the states of those that the log is sent to.
type stores struct{ Stats []fleet.Stats }

type routing struct {
	Queues   int             // of the TUN
	ByRules  bool            // without connection tracking
	Keeper   isolate.Process // with its rights
	Past     uint64
	Searches bool     // a socket for questions about owners comes along
	Lacks    []string // capabilities, to find the owners of all sockets
	Users    []uint32 // of resolvers of this host
}

// files returns how many files come along at least.
func (o *routing) files() int {
	n := 1 + max(1, o.Queues)
	if o.Searches {
		n++
	}
	return n
}

type reloading struct {
	File        string
	Error, Hint string // why its text could not be read
}

// A word is a message of the router to its keeper, which believes none of it: it may be lies, of
// which the worst is that the router is well.
type word struct {
	Opened   bool      `json:",omitempty"` // its listener is open
	Running  bool      `json:",omitempty"` // it carries packets
	Pong     bool      `json:",omitempty"`
	Reloaded *reloaded `json:",omitempty"`
	Ended    *ended    `json:",omitempty"` // the last
}

type reloaded struct {
	Refused string     // why the config is not in force; "" = it is
	Log     config.Log // of the config in force
}

// ended tells of a router's end in order, after an error or not, and the frames of its TUN.
type ended struct {
	Error, Hint                  string
	Outbound, Inbound, Malformed uint64
}
