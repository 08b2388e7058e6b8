//go:build linux

package keeper

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier reports the state of the program to the service manager that the environment names, if
// any: ready, alive, reloading, about to stop (sd_notify(3)).
type Notifier struct {
	watchdog time.Duration // the longest time between two signs of life; 0 = none is expected
}

// NewNotifier returns a notifier.
func NewNotifier() *Notifier {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil { // the number is malformed: as without a watchdog
		watchdog = 0
	}
	return &Notifier{watchdog: watchdog}
}

// Run reports that the program is ready, and, each time that alive says so, alive until ctx ends,
// and then that it stops.
func (n *Notifier) Run(ctx context.Context, alive func(within time.Duration) bool) error {
	if err := notify(daemon.SdNotifyReady); err != nil {
		return err
	}
	var ticks <-chan time.Time
	if n.watchdog > 0 {
		ticker := time.NewTicker(n.watchdog / 2)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return notify(daemon.SdNotifyStopping)
		case <-ticks:
			if !alive(n.watchdog / 2) {
				continue
			}
			if err := notify(daemon.SdNotifyWatchdog); err != nil {
				return err
			}
		}
	}
}

// Reload reports that the program reloads its config while work does so, and then the status that
// work returns, one line.
func (n *Notifier) Reload(work func() (status string)) error {
	if err := notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()); err != nil {
		return err
	}
	return notify(daemon.SdNotifyReady + "\nSTATUS=" + work())
}

func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}
