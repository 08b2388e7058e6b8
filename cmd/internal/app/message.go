//go:build linux

package app

import (
	"encoding/gob"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/namespace"
)

// An order is a message of the keeper to its router.
type order struct {
	Begin  bool       `json:",omitempty"` // the first, with a beginning
	Route  *routing   `json:",omitempty"` // the second, with the queues of the TUN, and the lock on the journal if there is one
	Reload bool       `json:",omitempty"` // with a config
	Past   *uint64    `json:",omitempty"` // packets that were refused on their way past the TUN
	Stores *stores    `json:",omitempty"` // that the log is sent to
	Users  *[]uint32  `json:",omitempty"` // of resolvers of this host
	Sent   *sentState `json:",omitempty"` // how the comparison with its records goes

	// Of the host's files, none of which a router opens at work (files.go).
	Nameservers *[]netip.Addr `json:",omitempty"`
	Passwd      bool          `json:",omitempty"` // with /etc/passwd, which has changed
	Hosts       bool          `json:",omitempty"` // with /etc/hosts, if there is one: it counts from the next reload on

	Ping bool `json:",omitempty"`
	Stop bool `json:",omitempty"`

	// Of exec.
	Redirects     *namespace.Redirects `json:",omitempty"` // others
	Drain, Enough bool                 `json:",omitempty"` // begin, or end, to deliver what clients have sent
}

// beginning comes by a pipe, like a config to be reloaded: both may be longer than a message.
type beginning struct {
	Config *config.Config
	Began  time.Time      // the run
	Hosts  hostfile.Hosts // of exec; a router of run reads them
}

// fromPipe reads a value that child.sendValue has sent.
func fromPipe(files []*os.File, value any) error {
	if len(files) != 1 {
		return errOrder
	}
	defer files[0].Close()
	if err := gob.NewDecoder(files[0]).Decode(value); err != nil {
		return fmt.Errorf("read the config from the keeper: %w", err)
	}
	return nil
}

var errOrder = errors.New("the order of another version")

// stores are the states of those that the log is sent to.
type stores struct{ Stats []fleet.Stats }

type routing struct {
	Queues   int  // of the TUN
	ByRules  bool // without connection tracking
	Past     uint64
	Searches bool       // a socket for questions about owners comes along
	Lacks    []string   // capabilities, to find the owners of all sockets
	Users    []uint32   // of resolvers of this host
	Shown    bool       // a stream for questions about its figures comes along
	Sent     *sentState `json:",omitempty"`

	Command *commandRouting `json:",omitempty"` // nil in run
}

// files returns how many files come along at least.
func (o *routing) files() int {
	n := 1 + max(1, o.Queues)
	if o.Searches {
		n++
	}
	if o.Shown {
		n++
	}
	if o.Command != nil {
		n += o.Command.files()
	}
	return n
}

// A word is a message of the router to its keeper, which believes none of it: it may be lies, of
// which the worst is that the router is well.
type word struct {
	Opened   bool      `json:",omitempty"` // it has its config and its log
	Running  bool      `json:",omitempty"` // it carries packets
	Pong     bool      `json:",omitempty"`
	Reloaded *reloaded `json:",omitempty"`
	Drained  *int      `json:",omitempty"` // connections that have bytes left, after Drain
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
