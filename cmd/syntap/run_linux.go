package main

import (
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/app"
	"syntap/cmd/internal/config"
)

func newRunCommand() *cobra.Command {
	var file string
	var output *outputFlags
	cmd := &cobra.Command{
		Use:   "run [flags]",
		Short: "Route this host's traffic and print its handshakes",
		Long: `Run opens the TUN interface, routes the destinations of route.include into it and carries them on by sockets of this
host, until SIGINT, SIGTERM or the end of its terminal. Then the host is as it was. After a crash with "on_crash:
closed", the default, what was routed goes nowhere until another run, or "syntap cleanup". Output flags replace the
tap.log of the config.

SIGHUP reopens the logs, for logrotate, and reloads tap, mss, df, egress, limits and
log from the config. Open connections keep what they have begun with. A config with a
mistake, or with a change of another section, which needs a restart, is reported, and nothing changes.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := app.CheckAddressSpace(); err != nil {
				return err
			}
			file = usualConfig(cmd, file)
			load := func() (*config.Config, error) {
				c, err := config.Load(file)
				if err != nil {
					return nil, err
				}
				if output.given(cmd) {
					c.Tap.Log = output.sinks("-")
				} else {
					c.Tap.Log = append(c.Tap.Log, output.capture()...)
				}
				return c, nil
			}
			c, err := load()
			if err != nil {
				return err
			}
			lines := app.NewLines(cmd.ErrOrStderr())
			defer lines.Close()
			log, err := app.NewLogger(c.Log, lines)
			if err != nil {
				return err
			}
			handshakes, err := app.OpenLog(c, cmd.OutOrStdout(), log)
			if err != nil {
				return err
			}
			app.LimitProcs(os.Getenv)
			ctx, stop, again := stopRequests(cmd.Context())
			defer stop()
			reload := app.Reload{Requests: reloadRequests(ctx, stop), Load: load}
			return app.Run(ctx, c, stateDir(os.Getenv), handshakes, log, app.NewNotifier(os.Getenv), reload, again)
		},
	}
	addUsualConfigFlag(cmd, &file)
	output = addOutputFlags(cmd, "standard output")
	return cmd
}
