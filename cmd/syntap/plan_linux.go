package main

import (
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/app"
	"syntap/cmd/internal/config"
)

func newPlanCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "plan [-c FILE]",
		Short: "Print what run would change on this host",
		Long: `Print what "syntap run" would change on this host, in order: commands of ip, sysctl
and nft that a shell would need for the same; syntap itself runs none. What stands in
the way on this host is said on standard error. Nothing on the host is touched.`,
		Example: "  syntap plan -c /etc/syntap/config.yaml",
		Args:    noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file = usualConfig(cmd, file)
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			if err := app.Plan(c, stateDir(os.Getenv), cmd.OutOrStdout()); err != nil {
				return err
			}
			printNotices(cmd.ErrOrStderr(), c)
			return nil
		},
	}
	addUsualConfigFlag(cmd, &file)
	return cmd
}
