//go:build linux

package router

import (
	"context"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/logger"
	"syntap/stack"
	"syntap/stack/dial"
	"syntap/tap"
)

// reloads says how a running router gets another config.
type reloads struct {
	requests chan reloadRequest
	log      *logrus.Logger // changes its level and form with the config
}

// reloadRequest asks for another config.
type reloadRequest struct {
	load func() (*config.Config, error)
	done func(inForce *config.Config, err error) // gets the one that is in force then
}

// serveReloads puts the config of each request in force, until ctx ends. A config that cannot be is
// reported, and the one before stays in force.
func (r *router) serveReloads(ctx context.Context, t *tap.Tap, s *stack.Stack, d *dial.Dialer) error {
	for {
		var request reloadRequest
		select {
		case <-ctx.Done():
			return nil
		case request = <-r.Reload.requests:
		}
		err := r.reload(ctx, request.load, t, s, d)
		if err == nil {
			r.Logger.Info("config reloaded")
		} else {
			logger.ReportRefused(r.Logger, err)
		}
		request.done(r.Config, err)
	}
}

// reload does first all that can fail, and changes nothing until then. Open flows keep
// the options that they began with.
func (r *router) reload(
	ctx context.Context, load func() (*config.Config, error),
	t *tap.Tap, s *stack.Stack, d *dial.Dialer,
) error {
	c, err := load()
	if err != nil {
		return err
	}
	if keys := r.Config.ChangedFixed(c); len(keys) > 0 {
		return hint.Fail(fmt.Errorf("change of %s needs a restart", strings.Join(keys, ", ")),
			"restart, or put back what was there to have the rest reloaded")
	}
	rules, err := c.CompileRules(r.holes.MSS)
	if err != nil {
		return err
	}
	level, err := logrus.ParseLevel(c.Log.Level)
	if err != nil {
		return err
	}
	if err := r.judge.check(c); err != nil {
		return err
	}
	if err := r.Log.Reload(ctx); err != nil {
		return err
	}
	r.Config = c
	r.holes.config.Store(c)
	if owners := r.judge.owners; owners != nil {
		owners.ask(r.ownersFor(c), r.Logger)
	}
	if n := r.judge.names; n != nil {
		all := r.nextHosts()
		n.hosts.Store(&all)
	}
	leaving := c.Egress.Compile()
	r.judge.enforce(c, leaving)
	t.SetRules(rules)
	t.SetLimits(r.tapOptions())
	d.SetOptions(r.dialOptions())
	r.sockets.Renew()
	s.SetLimits(r.stackOptions())
	r.Reload.log.SetLevel(level)
	r.Reload.log.SetFormatter(logger.Formatter(c.Log, r.Reload.log.Out))
	for _, warning := range c.Warnings(rules, leaving) {
		r.Logger.Warn(warning)
	}
	r.warnDescriptors()
	return nil
}
