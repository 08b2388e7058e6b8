//go:build !linux

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
)

// linuxCommands returns, for each command that exists on Linux only, one whose error names Linux.
func linuxCommands() (all []*cobra.Command) {
	for _, name := range []string{"demo", "exec", "mtu", "run", "plan", "cleanup"} {
		all = append(all, &cobra.Command{
			Use:                name,
			Short:              "Needs Linux",
			DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error {
				return hint.Fail(fmt.Errorf("%s needs Linux", name),
					"replay, check, log, verify, status and top work on this system, too")
			},
		})
	}
	return all
}

func runAsPart() {}

// printNotices prints notices about a Linux host.
func printNotices(io.Writer, *config.Config) {}
