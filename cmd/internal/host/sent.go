//go:build linux

package host

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/config"
	"syntap/tun/route"
)

// Why nothing is compared with records.
const (
	NoLog         = "the config has no log (tap.log)"
	MovingSources = "the kernel gives connections other source addresses (net.ipv4.ip_dynaddr)"
)

// SourcesMove reports whether a SYN may be sent again from another address than it was first, as
// where a dial-up link comes up.
func SourcesMove() bool {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_dynaddr")
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

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
	if SourcesMove() {
		return 0, errors.New(MovingSources)
	}
	if err := connTrack(); err != nil {
		return 0, fmt.Errorf("connection tracking is missing: %w", err)
	}
	if err := canLog(); err != nil && !errors.Is(err, unix.EPERM) {
		return 0, fmt.Errorf("nftables cannot log: %w", err)
	}
	return max(1, uint16(c.Route.Table)), nil
}
