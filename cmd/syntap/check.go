package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/journal"
	"syntap/cmd/internal/terminal"
)

func newCheckCommand() *cobra.Command {
	var file string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "check [-q] [-c FILE]",
		Short: "Check a config and print it in full",
		Long: `Check a config and print it in full: every key with its value, from the file or
by default, and each mss and df rule in words. All mistakes are reported at once,
and rules that never apply. The host is not changed.`,
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
			for _, line := range c.DescribeRules() {
				resolved = fmt.Appendf(resolved, "# %s\n", line)
			}
			if quiet {
				resolved = nil
			}
			if _, err := cmd.OutOrStdout().Write(resolved); err != nil {
				return err
			}
			rules, err := c.CompileRules(nil)
			if err != nil {
				return err
			}
			warnings := journal.Writer(cmd.ErrOrStderr(), journal.Warning)
			for _, warning := range c.Warnings(rules, c.Egress.Compile()) {
				fmt.Fprintf(warnings, "syntap: warning: %s: %s\n", terminal.Clean(file), warning)
			}
			printNotices(cmd.ErrOrStderr(), c)
			return nil
		},
	}
	addUsualConfigFlag(cmd, &file)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print mistakes and warnings only")
	return cmd
}
