//go:build linux

package host

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/config"
	"syntap/tun/route"
)

// NoLog is why nothing is compared with records where there are none.
const NoLog = "the config has no log (tap.log)"

// canLog asks the kernel once, as connTrack does.
var canLog = sync.OnceValue(route.Logs)

// SentGroup returns the group to which nftables logs the first packets of the router's flows, and
// why it cannot.
func SentGroup(c *config.Config) (uint16, error) {
	if c.Route.Table == 0 || len(c.Route.Include) == 0 {
		return 0, errors.New("the config has the operator route")
	}
	if len(c.Tap.Log) == 0 {
		return 0, errors.New(NoLog)
	}
	if err := connTrack(); err != nil {
		return 0, fmt.Errorf("connection tracking is missing: %w", err)
	}
	if err := canLog(); err != nil && !errors.Is(err, unix.EPERM) {
		return 0, fmt.Errorf("nftables cannot log: %w", err)
	}
	return max(1, uint16(c.Route.Table)), nil
}
