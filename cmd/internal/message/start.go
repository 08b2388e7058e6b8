//go:build linux

package message

import (
	"encoding/gob"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/ring"
)

// RouterName is the name by which a process knows that it is to be a router, and under which ps
// shows it.
const RouterName = "syntap-router"

// Where a router finds the ring by which it sends its records.
const MemoryFD, BellFD = channel.FD + 1, channel.FD + 2

// RingSizes returns the sizes of the ring between a keeper and a router with some config, at one of
// its ends: room for the records of some thousand connections, and for the answers to them. The
// records that wait in the router where the ring is full are bounded like the queue of a log.
func RingSizes(c *config.Config, inRouter bool) ring.Sizes {
	s := ring.Sizes{ToKeeper: 1 << 20, FromKeeper: 1 << 18, Waiting: 1 << 20}
	if inRouter {
		s.Waiting = 16<<20 + 4<<10*c.Limits.TCPFlows
	}
	return s
}

// Beginning comes by a pipe, like a config to be reloaded: both may be longer than a message.
type Beginning struct {
	Config *config.Config
	Began  time.Time      // the run
	Hosts  hostfile.Hosts // of exec; a router of run reads them

	Nameservers []netip.Addr // of this host, at other machines
}

// ToPipe returns the end of a pipe that a value for FromPipe comes by, until it is closed
// everywhere.
func ToPipe(value any) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_ = gob.NewEncoder(w).Encode(value)
		_ = w.Close()
	}()
	return r, nil
}

// FromPipe reads a value from the pipe that has come along with an order.
func FromPipe(files []*os.File, value any) error {
	if len(files) != 1 {
		return ErrOrder
	}
	defer files[0].Close()
	if err := gob.NewDecoder(files[0]).Decode(value); err != nil {
		return fmt.Errorf("read the config from the keeper: %w", err)
	}
	return nil
}

// ErrOrder is the error of an order that no keeper of this version sends.
var ErrOrder = errors.New("the order of another version")
