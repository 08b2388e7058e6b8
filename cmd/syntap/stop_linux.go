package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopRequests returns a context that ends with the first SIGINT or SIGTERM, or with stop, and a
// channel of the later ones. From now on neither they nor SIGPIPE end the process, because a
// process that ends before its stop is complete leaves the host closed.
func stopRequests(parent context.Context) (
	ctx context.Context, stop func(), again <-chan os.Signal,
) {
	// The signal that comes right behind the first one is not lost.
	signals, more := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // a log that cannot be written is not the end
	ctx, stop = context.WithCancel(parent)
	go func() { // until the process ends
		for s := range signals {
			if ctx.Err() == nil {
				stop()
				continue
			}
			select {
			case more <- s:
			default: // the last one is not answered yet
			}
		}
	}()
	return ctx, stop, more
}
