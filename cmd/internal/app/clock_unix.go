//go:build unix

package app

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic returns the time of the clock that a service manager compares with its own.
func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // there is always one
	return time.Duration(now.Nano())
}
