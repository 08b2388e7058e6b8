//go:build linux

package app

import (
	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/ring"
)

// routerName is the name by which a process knows that it is to be a router, and under which ps
// shows it.
const routerName = "syntap-router"

// Where a router finds the ring by which it sends its records.
const memoryFD, bellFD = channel.FD + 1, channel.FD + 2

// ringSizes returns the sizes of the ring between a keeper and a router with some config, at one of
// its ends: room for the records of some thousand connections, and for the answers to them. The
// records that wait in the router where the ring is full are bounded like the queue of a log.
func ringSizes(c *config.Config, inRouter bool) ring.Sizes {
	s := ring.Sizes{ToKeeper: 1 << 20, FromKeeper: 1 << 18, Waiting: 1 << 20}
	if inRouter {
		s.Waiting = 16<<20 + 4<<10*c.Limits.TCPFlows
	}
	return s
}
