//go:build linux

package message

import (
	"net/netip"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/sent"
)

// An Order is a message of the keeper to its router.
type Order struct {
	Begin  bool       `json:",omitempty"` // the first, with a Beginning
	Route  *Routing   `json:",omitempty"` // the second, with the queues of the TUN, and the lock on the journal if there is one
	Reload bool       `json:",omitempty"` // with a config
	Past   *uint64    `json:",omitempty"` // packets that were refused on their way past the TUN
	Stores *Stores    `json:",omitempty"` // that the log is sent to
	Users  *[]uint32  `json:",omitempty"` // of resolvers of this host
	Sent   *SentState `json:",omitempty"` // how the comparison with its records goes

	// Of the host's files, none of which a router opens at work.
	Nameservers *[]netip.Addr `json:",omitempty"`
	Passwd      bool          `json:",omitempty"` // with /etc/passwd, which has changed
	Hosts       bool          `json:",omitempty"` // with /etc/hosts, if there is one: it counts from the next reload on

	Ping bool `json:",omitempty"`
	Stop bool `json:",omitempty"`

	// Of exec.
	Redirects     *namespace.Redirects `json:",omitempty"` // others
	Drain, Enough bool                 `json:",omitempty"` // begin, or end, to deliver what clients have sent
}

// Stores are the states of those that the log is sent to.
type Stores struct{ Stats []fleet.Stats }

// Routing is all that a router needs besides, to carry packets.
type Routing struct {
	Queues   int  // of the TUN
	ByRules  bool // without connection tracking
	Past     uint64
	Searches bool       // the keeper searches for owners
	Lacks    []string   // capabilities, to find the owners of all sockets
	Users    []uint32   // of resolvers of this host
	Shown    bool       // a stream for questions about its figures comes along
	Sent     *SentState `json:",omitempty"`

	// Of run.
	Network int // files of an owner.Network that come along
	Device  int // of it

	Command *CommandRouting `json:",omitempty"` // nil in run
}

// Files returns how many files come along at least.
func (o *Routing) Files() int {
	n := 1 + max(1, o.Queues) + o.Network
	if o.Shown {
		n++
	}
	if o.Command != nil {
		n += o.Command.files()
	}
	return n
}

// SentState is the state of the comparison, for the router to show.
type SentState struct {
	Stats               sent.Stats
	Why                 string // nothing is compared
	Closed              bool
	Invalid, Unrecorded uint64 // findings of the keeper
}

// A Word is a message of the router to its keeper, which believes none of it: it may be lies, of
// which the worst is that the router is well.
type Word struct {
	Opened   bool      `json:",omitempty"` // it has its config and its log
	Running  bool      `json:",omitempty"` // it carries packets
	Pong     bool      `json:",omitempty"`
	Reloaded *Reloaded `json:",omitempty"`
	Drained  *int      `json:",omitempty"` // connections that have bytes left, after Drain
	Ended    *Ended    `json:",omitempty"` // the last
}

// Reloaded is the outcome of an order to reload.
type Reloaded struct {
	Refused string     // why the config is not in force; "" = it is
	Log     config.Log // of the config in force
}

// Ended tells of a router's end in order, after an error or not, and the frames of its TUN.
type Ended struct {
	Error, Hint                  string
	Outbound, Inbound, Malformed uint64
	Untold                       uint64 // attempts and responses that found no room
}
