package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/journal"
	"syntap/cmd/internal/limits"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/router"
	"syntap/cmd/internal/web"
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

// runAsPart does not return in a process that another one of this program has started: a part of
// exec's namespaces, or a router.
func runAsPart() {
	namespace.Main()
	var part func(context.Context) error
	switch {
	case router.IsProcess():
		part = (&router.Process{Stderr: os.Stderr}).Run
	case web.IsProcess():
		part = func(ctx context.Context) error { return web.ServeProcess(ctx, os.Stderr) }
	default:
		return
	}
	limits.HalfOfProcessors(os.Getenv)
	os.Exit(hint.Report(journal.Writer(os.Stderr, journal.Error), part(context.Background())))
}
