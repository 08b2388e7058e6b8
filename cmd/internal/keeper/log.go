//go:build linux

package keeper

import (
	"errors"
	"io"
	"syscall"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet/shipping"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/limits"
)

// OpenLog opens the sinks of a handshake log, all of them or none; the path "-" means stdout.
// Rotated files of the log that f ships stay until the stores have their records; nil ships none.
func OpenLog(
	c *config.Config, stdout io.Writer, logger logrus.FieldLogger, f *shipping.Fleet,
) (*audit.Log, error) {
	o := audit.Options{Stdout: stdout, Logger: logger, Run: thisRun()}
	if f != nil {
		o.Spool, o.Head, o.Written = f.Spool, f.Head, f.Written
	} else if c.Fleet.Sink(c.Tap.Log) != nil {
		logger.Warn(`no record is sent to fleet.stores: only "syntap run" sends them`)
	}
	var open []*audit.Sink
	for _, c := range c.Tap.Log {
		s, err := audit.Open(c, o)
		if err != nil {
			for _, s := range open {
				_ = s.Close() // empty so far
			}
			if errors.Is(err, syscall.EMFILE) {
				err = hint.Fail(err, limits.MoreDescriptors)
			}
			return nil, err
		}
		open = append(open, s)
	}
	return audit.NewLog(open, audit.LogOptions{Logger: logger, Reserve: 4 * c.Limits.TCPFlows, Sinks: o}), nil
}
