package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/keeper"
	"syntap/cmd/internal/limits"
	"syntap/cmd/internal/logger"
)

const runHelp = `Open the TUN interface, route the destinations of route.include into it, and carry
them on by sockets of this host, until SIGINT, SIGTERM or the end of the terminal. Then
restore the host. After a crash with "on_crash: closed", the default, the routed traffic
is dropped until the next run, or "syntap cleanup". Output flags replace the tap.log of
the config.

SIGHUP reopens the logs, for logrotate, and reloads tap, mss, df, egress, limits,
fleet and log from the config, and the names of /etc/hosts. Open connections keep the
settings that they began with. A config with a mistake, or with a change in another
section, which needs a restart, is reported, and nothing changes.`

func newRunCommand() *cobra.Command {
	r := new(runCommand)
	cmd := &cobra.Command{
		Use:   "run [flags]",
		Short: "Route this host's traffic and print its handshakes",
		Long:  runHelp,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	addUsualConfigFlag(cmd, &r.file)
	r.output = addOutputFlags(cmd, "standard output")
	return cmd
}

// runCommand are the flags of run.
type runCommand struct {
	file   string
	output *outputFlags
}

func (r *runCommand) run(cmd *cobra.Command) error {
	if err := errors.Join(limits.CheckAddressSpace(), limits.CheckDescriptors(), limits.CheckSignals(true)); err != nil {
		return err
	}
	limits.HalfOfProcessors(os.Getenv)
	r.file = usualConfig(cmd, r.file)
	c, err := r.config(cmd)
	if err != nil {
		return err
	}
	lines := logger.NewLines(cmd.ErrOrStderr())
	defer lines.Close()
	log, err := logger.New(c.Log, lines)
	if err != nil {
		return err
	}
	service := keeper.Service{
		Config: c, Stdout: cmd.OutOrStdout(),
		StateDir: stateDir(os.Getenv), Logger: log, Notify: keeper.NewNotifier(log),
	}
	if err := service.Open(cmd.Context()); err != nil {
		return err
	}
	ctx, stop, again := stopRequests(cmd.Context())
	defer stop()
	service.Again, service.Reloads = again, keeper.Reloads{
		Requests: reloadRequests(ctx, stop),
		Read:     func() (*config.Config, error) { return r.config(cmd) },
	}
	return service.Run(ctx)
}

// config reads the config and puts the output flags into it.
func (r *runCommand) config(cmd *cobra.Command) (*config.Config, error) {
	c, err := config.Load(r.file)
	if err != nil {
		return nil, err
	}
	if c.Egress.Names == config.NamesVirtual {
		return nil, hint.Fail(errors.New("egress.names: virtual is for exec, whose command has no other resolver"),
			"write dns or auto for run")
	}
	if r.output.given(cmd) {
		c.Tap.Log = r.output.sinks("-")
	} else {
		c.Tap.Log = append(c.Tap.Log, r.output.capture()...)
	}
	return c, nil
}
