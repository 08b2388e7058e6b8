package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/app"
)

func newCleanupCommand(getenv func(string) string) *cobra.Command {
	var result string
	cmd := &cobra.Command{
		Use:   "cleanup [--result RESULT]",
		Short: "Undo the changes of a dead run on this host",
		Long: `Remove the links, rules and routes that a dead run has left in this network
namespace, and print the equivalent commands. A running syntap is left alone.

After a crash with "on_crash: closed", the default, this command lets the traffic out
again. The journal of each run is in /run/syntap, or in the directory named by
RUNTIME_DIRECTORY.`,
		Args: noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.Cleanup(stateDir(getenv), result != "success", cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&result, "result", "success", "how a service ended, systemd's "+
		"$SERVICE_RESULT: with any `RESULT` but success, a closed host stays closed")
	return cmd
}

// stateDir returns where runs keep their journals. A service manager names the directory that it
// has made.
func stateDir(getenv func(string) string) string {
	return cmp.Or(getenv("RUNTIME_DIRECTORY"), "/run/syntap")
}
