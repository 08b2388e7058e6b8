package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
)

// ruleFlags are mss and df rules in one line. Exec and replay have them in common.
type ruleFlags struct{ mss, df string }

func addRuleFlags(cmd *cobra.Command) *ruleFlags {
	r := &ruleFlags{}
	cmd.Flags().StringVar(&r.mss, "mss", "",
		"keep the MSS of all connections at or below `BYTES`, pmtu for what the path MTU allows, or off; replaces the config's rules")
	cmd.Flags().StringVar(&r.df, "df", "",
		"preserve, set, clear or enforce the don't-fragment bit of IPv4 by this `POLICY`; replaces the config's rules")
	return r
}

// apply replaces the rules of c by those of the flags that were given.
func (r *ruleFlags) apply(cmd *cobra.Command, c *config.Config) error {
	if cmd.Flags().Changed("mss") {
		rule, err := config.NewMSSRule(r.mss)
		if err != nil {
			return hint.Usage(fmt.Errorf("--mss: %w", err), hint.Of(err))
		}
		c.MSS = []config.MSSRule{rule}
	}
	if cmd.Flags().Changed("df") {
		rule, err := config.NewDFRule(r.df)
		if err != nil {
			return hint.Usage(fmt.Errorf("--df: %w", err), hint.Of(err))
		}
		c.DF = []config.DFRule{rule}
	}
	return nil
}
