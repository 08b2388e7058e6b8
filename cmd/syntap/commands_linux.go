package main

import (
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/namespace"
)

// linuxCommands returns the commands that exist on Linux only.
func linuxCommands() []*cobra.Command {
	return []*cobra.Command{
		newDemoCommand(),
		newExecCommand(),
		newMTUCommand(),
		newRunCommand(),
		newPlanCommand(),
		newCleanupCommand(os.Getenv),
	}
}

// runAsInit does not return in the process that exec starts as init of its namespaces.
func runAsInit() { namespace.Main() }
