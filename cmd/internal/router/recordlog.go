//go:build linux

package router

import (
	"context"
	"time"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// recordLog takes the records of a router: an audit.Log, or a remote.Log, which another process
// writes.
type recordLog interface {
	Record(r *record.Attributed)
	Datagram(d *record.AttributedDatagram)
	Segment(k flow.Key, s handshake.Segment)
	Flow(f record.AttributedFlow)
	Finding(f *record.Finding)

	Admission(now time.Time) flow.Admission
	DatagramAdmission(now time.Time) flow.Admission
	OnWritten(f func(k flow.Key, serverISN uint32, opening any))
	OnDatagramWritten(f func(*flow.Datagram))
	CountOpen(f func() int)
	CountFrames(f func() record.Frames)

	NamesOwners() bool
	Stats() audit.LogStats
	Reload(ctx context.Context, sinks []config.Sink) error
	Reopen()
	Run(ctx context.Context) error
}

// write has the log write while work runs, and to its end after that. A log that ends early, as
// on_full: stop asks for, ends the work.
func write(ctx context.Context, log recordLog, work func(context.Context) error) (workErr, logErr error) {
	logCtx, silent := context.WithCancel(context.WithoutCancel(ctx))
	workCtx, stop := context.WithCancel(ctx)
	defer stop()
	written := make(chan error, 1)
	go func() {
		written <- log.Run(logCtx)
		stop() // without a log there is no work
	}()
	workErr = work(workCtx)
	silent()
	return workErr, <-written
}
