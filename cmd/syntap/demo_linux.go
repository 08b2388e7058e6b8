package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/demo"
	"syntap/cmd/internal/limits"
)

func newDemoCommand() *cobra.Command {
	var stage string
	var fleet bool
	cmd := &cobra.Command{
		Use:   "demo [--fleet]",
		Short: "Show a handshake and explain its numbers",
		Long: `Open one connection between a client and a server of its own, through syntap, and
explain the three lines of its handshake. The demo needs no network and no config, and
leaves nothing behind.

With --fleet, two routers ship their logs to a store, and a query shows the connections
of both. The store is victoria-logs from PATH, or is built by Go and kept in the user's
cache directory.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if stage != "" {
				return nil
			}
			return noArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			again := func(stage string) []string {
				return []string{"/proc/self/exe", "demo", "--stage", stage}
			}
			switch stage {
			case "":
				if fleet {
					return demo.ShowFleet(cmd.Context(), again("fleet"))
				}
				return demo.Show(cmd.Context(), again("tour"))
			case "fleet":
				limits.HalfOfProcessors(os.Getenv)
				return demo.FleetTour(cmd.Context(), cmd.OutOrStdout(), "/proc/self/exe", args[0])
			case "visit":
				return demo.Visit(args)
			case "tour":
				limits.HalfOfProcessors(os.Getenv)
				return demo.Tour(cmd.Context(), cmd.OutOrStdout(), again("connect"))
			case "connect":
				return demo.Connect()
			}
			return fmt.Errorf("unknown stage %q", stage)
		},
	}
	cmd.Flags().BoolVar(&fleet, "fleet", false, "show two routers, a store and a query over both")
	cmd.Flags().StringVar(&stage, "stage", "", "which process of the demo this is")
	_ = cmd.Flags().MarkHidden("stage") // the flag exists
	return cmd
}
