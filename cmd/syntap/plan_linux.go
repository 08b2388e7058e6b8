package main

import (
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/host"
	"syntap/cmd/internal/limits"
)

func newPlanCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "plan [-c FILE]",
		Short: "Print the changes of this host that run would make",
		Long: `Print the changes that "syntap run" would make on this host, in order, as commands of ip, sysctl
and nft with their purpose; syntap itself runs none of them. Obstacles on this host are printed to
standard error. The host is not changed.`,
		Example: "  syntap plan -c /etc/syntap/config.yaml",
		Args:    noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file = usualConfig(cmd, file)
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			limits.HalfOfProcessors(os.Getenv) // tun.queues may depend on it
			if err := host.Plan(c, stateDir(os.Getenv), cmd.OutOrStdout()); err != nil {
				return err
			}
			printNotices(cmd.ErrOrStderr(), c)
			return nil
		},
	}
	addUsualConfigFlag(cmd, &file)
	return cmd
}
