package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopRequests returns a context that ends with the first SIGINT or SIGTERM, or with stop, and a
// channel of those after that. From now on neither they nor SIGPIPE end the process: one that has
// not finished its stop leaves the host closed.
func stopRequests(parent context.Context) (ctx context.Context, stop func(), again <-chan os.Signal) {
	signals, more := make(chan os.Signal, 1), make(chan os.Signal, 1)
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
			default: // one is about to be answered
			}
		}
	}()
	return ctx, stop, more
}
