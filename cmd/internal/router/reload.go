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
func (a *assembly) serveReloads(ctx context.Context) error {
	for {
		var request reloadRequest
		select {
		case <-ctx.Done():
			return nil
		case request = <-a.reloads.requests:
		}
		err := a.reload(ctx, request.load)
		if err == nil {
			a.logger.Info("config reloaded")
		} else {
			logger.ReportRefused(a.logger, err)
		}
		request.done(a.config, err)
	}
}

// reload does first all that can fail, and changes nothing until then. Open flows keep
// the options that they began with.
func (a *assembly) reload(ctx context.Context, load func() (*config.Config, error)) error {
	c, err := load()
	if err != nil {
		return err
	}
	if keys := a.config.ChangedFixed(c); len(keys) > 0 {
		return hint.Fail(fmt.Errorf("change of %s needs a restart", strings.Join(keys, ", ")),
			"restart, or put back what was there to have the rest reloaded")
	}
	rules, err := c.CompileRules(a.blackHoles.MSS)
	if err != nil {
		return err
	}
	level, err := logrus.ParseLevel(c.Log.Level)
	if err != nil {
		return err
	}
	if err := a.policy.check(c); err != nil {
		return err
	}
	if err := a.log.Reload(ctx); err != nil {
		return err
	}
	a.config = c
	a.blackHoles.config.Store(c)
	if owners := a.owners; owners != nil {
		owners.ask(a.ownersFor(c), a.logger)
	}
	if n := a.names; n != nil {
		all := a.nextHosts()
		n.hosts.Store(&all)
	}
	leaving := c.Egress.Compile()
	a.policy.enforce(c, leaving)
	a.tap.SetRules(rules)
	a.tap.SetLimits(a.tapOptions())
	a.dialer.SetOptions(a.dialOptions())
	a.sockets.Renew()
	a.stack.SetLimits(a.stackOptions())
	a.reloads.log.SetLevel(level)
	a.reloads.log.SetFormatter(logger.Formatter(c.Log, a.reloads.log.Out))
	for _, warning := range c.Warnings(rules, leaving) {
		a.logger.Warn(warning)
	}
	a.warnDescriptors()
	return nil
}
