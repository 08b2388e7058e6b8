//go:build linux

package keeper

import (
	"context"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
)

// Notifier reports the state of the program to the service manager that the environment names, if
// any: ready, alive, reloading, about to stop (sd_notify(3)).
//
// A manager that does not listen is logged, and no reason to stop: the environment may be that of
// another service, and conmon listens until the first report only (podman run --sdnotify).
type Notifier struct {
	log      logrus.FieldLogger
	watchdog time.Duration // the longest time between two signs of life; 0 = none is expected
	failed   sync.Once
}

// NewNotifier returns a notifier.
func NewNotifier(log logrus.FieldLogger) *Notifier {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil { // the number is malformed: as without a watchdog
		watchdog = 0
	}
	return &Notifier{log: log, watchdog: watchdog}
}

// Run reports that the program is ready, and, each time that alive says so, alive until ctx ends,
// and then that it stops. It asks often enough for three quarters of the watchdog's time to be left
// for the answer.
func (n *Notifier) Run(ctx context.Context, alive func(context.Context) bool) {
	n.notify(daemon.SdNotifyReady)
	var ticks <-chan time.Time
	if n.watchdog > 0 {
		ticker := time.NewTicker(n.watchdog / 4)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			n.notify(daemon.SdNotifyStopping)
			return
		case <-ticks:
			if alive(ctx) {
				n.notify(daemon.SdNotifyWatchdog)
			}
		}
	}
}

// Reload reports that the program reloads its config while work does so, and then the status that
// work returns, one line.
func (n *Notifier) Reload(work func() (status string)) {
	n.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	n.notify(daemon.SdNotifyReady + "\nSTATUS=" + work())
}

func (n *Notifier) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.failed.Do(func() { n.log.WithError(err).Warn("cannot notify the service manager") })
	}
}
