//go:build linux

package keeper

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/logger"
	"syntap/cmd/internal/message"
)

// serveReloads has the router take the config that read returns at each request, until ctx ends.
func (k *keeper) serveReloads(ctx context.Context, r *Reloads) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Requests:
		}
		k.notify.Reload(func() (status string) {
			if refused := k.reload(ctx, r.Read); refused != "" {
				return "config not reloaded: " + strings.ReplaceAll(refused, "\n", "; ")
			}
			return "config reloaded"
		})
	}
}

// errDead is the error of a reload by a router that dies before its word, and reloadTries how many
// routers may.
var errDead = errors.New("the router has died")

const reloadTries = 3

// reload returns why the config is not in force; "" if it is. That is logged. Where the router dies
// meanwhile, or has just died, its successor is asked.
func (k *keeper) reload(ctx context.Context, read func() (*config.Config, error)) (refused string) {
	k.records.log.Reopen() // whatever the config says: logrotate has renamed files
	next, err := read()
	for try := 0; err == nil && try < reloadTries; try++ {
		c := k.await(ctx)
		refused, ok := k.reloadIn(c, next)
		if ok || ctx.Err() != nil {
			return refused
		}
		select {
		case <-c.done: // its end is not noticed yet
		case <-time.After(time.Second):
		}
	}
	if err == nil {
		err = errDead
	}
	logger.ReportRefused(k.log, err)
	return err.Error()
}

// await returns the present router when it carries packets; that of the moment when ctx ends.
func (k *keeper) await(ctx context.Context) *child {
	for {
		c := k.router.Load()
		select {
		case <-c.running:
			if !c.isDone() {
				return c
			}
		default:
		}
		select {
		case <-time.After(shortestPause):
		case <-ctx.Done():
			return c
		}
	}
}

// reloadIn has a router take a config, and returns why it has refused that. It reports false where
// the router has died.
func (k *keeper) reloadIn(c *child, next *config.Config) (refused string, ok bool) {
	select {
	case <-c.reloaded: // nothing has asked for it
	default:
	}
	if k.sendFile(message.Order{Hosts: true}, hostfile.HostsPath) != nil {
		return errDead.Error(), false
	}
	k.next.Store(next)
	defer k.next.Store(nil)
	if c.sendValue(message.Order{Reload: true}, next) != nil {
		return errDead.Error(), false
	}
	select {
	case said := <-c.reloaded:
		if said.Refused == "" {
			k.config.Store(next)
			k.setLog(said.Log)
		}
		return said.Refused, true
	case <-c.done:
		if k.next.Load() == nil { // the log has it, and the next router has not
			k.next.Store(k.config.Load())
			if err := k.reloadRecords(); err != nil {
				k.log.WithError(err).Error("the handshake log is that of a config which is not in force")
			}
		}
		return errDead.Error(), false
	}
}

// setLog takes over how the program's log is written.
func (k *keeper) setLog(c config.Log) {
	if level, err := logrus.ParseLevel(c.Level); err == nil {
		k.log.SetLevel(level)
		k.log.SetFormatter(logger.Formatter(c, k.log.Out))
	}
}
