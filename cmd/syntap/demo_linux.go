package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/app"
	"syntap/cmd/internal/demo"
)

func newDemoCommand() *cobra.Command {
	var stage string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a handshake and explain its numbers",
		Long: `Demo opens one connection between a client and a server of its own, through syntap,
and explains the three lines of its handshake. It needs no network and no config, and
leaves nothing behind.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			again := func(stage string) []string {
				return []string{"/proc/self/exe", "demo", "--stage", stage}
			}
			switch stage {
			case "":
				return demo.Show(cmd.Context(), again("tour"))
			case "tour":
				app.LimitProcs(os.Getenv)
				return demo.Tour(cmd.Context(), cmd.OutOrStdout(), again("connect"))
			case "connect":
				return demo.Connect()
			}
			return fmt.Errorf("unknown stage %q", stage)
		},
	}
	cmd.Flags().StringVar(&stage, "stage", "", "which process of the demo this is")
	_ = cmd.Flags().MarkHidden("stage") // the flag exists
	return cmd
}
