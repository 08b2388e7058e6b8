package app

import (
	"context"
	"io"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
)

// OpenLog opens the sinks of a handshake log, all of them or none; stdout is what the path "-" means. Route makes it write
// and closes it.
func OpenLog(sinks []config.Sink, stdout io.Writer, logger logrus.FieldLogger) (*audit.Log, error) {
	o := audit.Options{Stdout: stdout}
	var open []*audit.Sink
	for _, c := range sinks {
		s, err := audit.Open(c, o)
		if err != nil {
			for _, s := range open {
				_ = s.Close() // empty so far
			}
			return nil, err
		}
		open = append(open, s)
	}
	return audit.NewLog(open, audit.LogOptions{Logger: logger, Sinks: o}), nil
}

// NewLogger returns the program's own log.
func NewLogger(c config.Log, w io.Writer) (*logrus.Logger, error) {
	level, err := logrus.ParseLevel(c.Level)
	if err != nil {
		return nil, err
	}
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(level)
	log.SetFormatter(formatter(c))
	return log, nil
}

func formatter(c config.Log) logrus.Formatter {
	if c.Format == "json" {
		return &logrus.JSONFormatter{}
	}
	return &logrus.TextFormatter{}
}

// write has the log write while work runs, and to its end after that.
func write(ctx context.Context, log *audit.Log, work func() error) (workErr, logErr error) {
	logCtx, silent := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan error, 1)
	go func() { written <- log.Run(logCtx) }()
	workErr = work()
	silent()
	return workErr, <-written
}
