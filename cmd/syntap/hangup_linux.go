package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// reloadRequests passes on each SIGHUP until ctx ends. It calls stop for the SIGHUP of a terminal
// that is gone, from which no other signal can come.
func reloadRequests(ctx context.Context, stop func()) <-chan os.Signal {
	hangups, requests := make(chan os.Signal, 1), make(chan os.Signal, 1)
	if signal.Ignored(syscall.SIGHUP) { // as nohup has it
		return nil
	}
	signal.Notify(hangups, syscall.SIGHUP)
	atTerminal := hasTerminal()
	go func() { // a later SIGHUP is ignored: it must not end the process during the stop
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-hangups:
				if atTerminal && !hasTerminal() {
					stop()
					return
				}
				select {
				case requests <- s:
				default: // the request that waits will read the file as it is now
				}
			}
		}
	}()
	return requests
}

// hasTerminal tells whether the process has a controlling terminal. The kernel takes it away before
// it sends the SIGHUP of one that is gone.
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
