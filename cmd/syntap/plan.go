package main

import (
	"github.com/spf13/cobra"

	"syntap/cmd/internal/app"
	"syntap/cmd/internal/config"
)

func newPlanCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "plan [-c FILE]",
		Short: "Print what run would change on this host",
		Long: `Print what "syntap run" would change on this host, one command a line, in order. The
commands are those a shell would need for the same; syntap itself runs none. Nothing
on the host is touched.`,
		Example: "  syntap plan -c /etc/syntap/config.yaml",
		Args:    noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file = usualConfig(cmd, file)
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			if err := app.Plan(c, cmd.OutOrStdout()); err != nil {
				return err
			}
			printNotices(cmd.ErrOrStderr(), c)
			return nil
		},
	}
	addUsualConfigFlag(cmd, &file)
	return cmd
}
