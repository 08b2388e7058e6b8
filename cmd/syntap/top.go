package main

import (
	"errors"
	"os"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/top"
)

func newTopCommand() *cobra.Command {
	var ask *askFlags
	cmd := &cobra.Command{
		Use:   "top [-c FILE | --at ADDR]",
		Short: "Show connections as they happen, in a terminal",
		Long: `Show the connections of a running syntap as they happen, DNS queries, UDP and ping too: process,
name, bytes, duration, and each of them in full. "/" filters, in the grammar of "syntap log
--filter"; Tab groups by name, process, destination or outcome; s sorts; ? lists all keys.

It has to run with http.listen in its config; in a browser, that address shows the same and
more. Without a flag it is asked where that is a Unix socket, which has to be root's or the
user's own.`,
		Example: `  syntap top
  syntap top --at 127.0.0.1:9153`,
		Args: noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := ask.client(cmd)
			if err != nil {
				return err
			}
			if !term.IsTerminal(os.Stdin.Fd()) || !term.IsTerminal(os.Stdout.Fd()) {
				return hint.Usage(errors.New("top needs a terminal"), `"syntap status" prints to anything`)
			}
			return top.Run(cmd.Context(), client)
		},
	}
	ask = addAskFlags(cmd)
	return cmd
}
