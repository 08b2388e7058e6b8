package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/app"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/terminal"
)

func newCheckCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check [-c FILE]",
		Short: "Check a config and print it in full",
		Long: `Check a config and print it as it is understood: every key with its value, be it
from the file or the default, and what each mss and df rule does in words. All
mistakes are reported at once, and rules that never apply. Nothing on the host
is touched.`,
		Example: "  syntap check -c /etc/syntap/config.yaml",
		Args:    noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file = usualConfig(cmd, file)
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			resolved, err := c.Marshal()
			if err != nil {
				return fmt.Errorf("print config: %w", err)
			}
			for _, line := range app.DescribeRules(c) {
				resolved = fmt.Appendf(resolved, "# %s\n", line)
			}
			if _, err := cmd.OutOrStdout().Write(resolved); err != nil {
				return err
			}
			rules, err := app.Rules(c)
			if err != nil {
				return err
			}
			for _, warning := range app.Warnings(c, rules) {
				fmt.Fprintf(cmd.ErrOrStderr(), "syntap: warning: %s: %s\n", terminal.Clean(file), warning)
			}
			printNotices(cmd.ErrOrStderr(), c)
			return nil
		},
	}
	addUsualConfigFlag(cmd, &file)
	return cmd
}
