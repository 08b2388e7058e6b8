package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
)

func newCheckCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check [-c FILE]",
		Short: "Check a config and print it in full",
		Long: `Check a config and print it as it is understood: every key with its value, be it
from the file or the default. All mistakes are reported at once. Nothing on the
host is touched.`,
		Example: "  syntap check -c /etc/syntap/config.yaml",
		Args:    noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			resolved, err := c.Marshal()
			if err != nil {
				return fmt.Errorf("print config: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(resolved)
			return err
		},
	}
	addConfigFlag(cmd, &file)
	return cmd
}
