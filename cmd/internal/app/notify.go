//go:build linux

package app

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier tells the service manager how the program is: that it is ready, alive, reloading, about
// to stop (sd_notify(3)).
type Notifier struct {
	socket   string        // "" = there is no service manager
	watchdog time.Duration // it expects a sign of life that often; 0 = never
}

// NewNotifier returns a notifier for the service manager that the environment names, if any.
func NewNotifier(getenv func(string) string) *Notifier {
	n := &Notifier{socket: getenv("NOTIFY_SOCKET")}
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		n.watchdog = time.Duration(us) * time.Microsecond
	}
	return n
}

// Run says that the program is ready, shows that it is alive until ctx ends, and then says that it
// stops.
func (n *Notifier) Run(ctx context.Context) error {
	if n.socket == "" {
		<-ctx.Done()
		return nil
	}
	if err := n.tell("READY=1"); err != nil {
		return err
	}
	var alive <-chan time.Time
	if n.watchdog > 0 {
		ticker := time.NewTicker(n.watchdog / 2)
		defer ticker.Stop()
		alive = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return n.tell("STOPPING=1")
		case <-alive:
			if err := n.tell("WATCHDOG=1"); err != nil {
				return err
			}
		}
	}
}

// Reload says that the program reloads its config while work does so, and what came of it, in one
// line.
func (n *Notifier) Reload(work func() (status string)) error {
	if n.socket == "" {
		work()
		return nil
	}
	if err := n.tell(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic().Microseconds())); err != nil {
		return err
	}
	return n.tell("READY=1\nSTATUS=" + work())
}

// monotonic returns the clock that a service manager compares with its own.
func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // fails only without that clock
	return time.Duration(now.Nano())
}

func (n *Notifier) tell(state string) error {
	// net takes a leading "@" for an abstract socket, as systemd does.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}
