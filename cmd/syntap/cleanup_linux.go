package main

import (
	"cmp"
	"errors"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/host"
)

func newCleanupCommand(getenv func(string) string) *cobra.Command {
	var result, file string
	var force bool
	cmd := &cobra.Command{
		Use:   "cleanup [--result RESULT] [--force [-c FILE]]",
		Short: "Undo the changes of a dead run on this host",
		Long: `Remove the links, rules and routes that a dead run has left in this network
namespace, and print the equivalent commands. A running syntap is left alone.

After a crash with "on_crash: closed", the default, this command lets the traffic out
again. The journal of each run is in /run/syntap, or in the directory named by
RUNTIME_DIRECTORY.

Where a journal is damaged or lost, --force undoes the changes that a run with the
config FILE makes on this host, as "syntap plan" prints them, and removes the journal.`,
		Args: noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if force {
				c, err := config.Load(usualConfig(cmd, file))
				if err != nil {
					return err
				}
				return host.CleanupAs(c, stateDir(getenv), cmd.OutOrStdout())
			}
			if file != "" {
				return hint.Usage(errors.New("-c goes with --force"), "add --force, or leave -c out")
			}
			return host.Cleanup(stateDir(getenv), result != "success", cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&result, "result", "success", "how a service ended, systemd's "+
		"$SERVICE_RESULT: with any `RESULT` but success, a closed host stays closed")
	cmd.Flags().BoolVar(&force, "force", false, "undo the changes of a config instead of those of a journal")
	addUsualConfigFlag(cmd, &file)
	return cmd
}

// stateDir returns where runs keep their journals. A service manager names the directory that it
// has made.
func stateDir(getenv func(string) string) string {
	return cmp.Or(getenv("RUNTIME_DIRECTORY"), "/run/syntap")
}
