package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet/search"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/query"
	"syntap/cmd/internal/top"
)

func newTopCommand() *cobra.Command {
	var ask *askFlags
	var fleet fleetFlags
	cmd := &cobra.Command{
		Use:   "top [-c FILE | --at ADDR | --fleet]",
		Short: "Show connections as they happen, in a terminal",
		Long: `Show the connections of a running syntap as they happen, including DNS queries, UDP and ping:
process, name, bytes, duration, and each connection in detail. "/" filters, in the grammar of
"syntap log --filter"; Tab groups by name, process, destination or outcome; s sorts; ? lists all
keys.

It must run with http.listen in its config; in a browser, that address shows the same and more.
Without a flag, http.listen must be a Unix socket owned by root or by the user.

With --fleet, show the connections of all routers as their records arrive in a store.`,
		Example: `  syntap top
  syntap top --at 127.0.0.1:9153
  syntap top --fleet`,
		Args: noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fleet.alone(); err != nil {
				return err
			}
			if fleet.on {
				return topOfFleet(cmd, &fleet, ask)
			}
			client, err := ask.client(cmd)
			if err != nil {
				return err
			}
			if err := wantTerminal(); err != nil {
				return err
			}
			return top.Run(cmd.Context(), client)
		},
	}
	ask = addAskFlags(cmd)
	fleet.add(cmd, "show")
	return cmd
}

// fleetBegin is how old the connections of a fleet are, at most, that are shown at the start.
const fleetBegin = 5 * time.Minute

func topOfFleet(cmd *cobra.Command, flags *fleetFlags, ask *askFlags) error {
	if ask.at != "" {
		return hint.Usage(errors.New("--fleet asks a store, --at a router"), "leave one of them out")
	}
	stores, err := flags.open(cmd, ask.file)
	if err != nil {
		return err
	}
	defer stores.Close()
	store, err := flags.first(cmd, stores)
	if err != nil {
		return err
	}
	if err := wantTerminal(); err != nil {
		return err
	}
	follow := func(ctx context.Context, next func(line []byte) bool) error {
		reader := search.New([]search.Store{*store}, flags.router, func(string) {})
		wanted := &query.Wanted{Filter: &filter.Filter{Since: time.Now().Add(-fleetBegin)}, Ordered: true}
		return reader.Follow(ctx, wanted, func() error { return nil }, func(l query.Lines) bool {
			for line := range bytes.Lines(l.Text) {
				if !next(bytes.TrimSuffix(line, []byte("\n"))) {
					return false
				}
			}
			return true
		})
	}
	return top.RunFleet(cmd.Context(), top.Fleet{Name: store.URL, Follow: follow})
}

func wantTerminal() error {
	if !term.IsTerminal(os.Stdin.Fd()) || !term.IsTerminal(os.Stdout.Fd()) {
		return hint.Usage(errors.New("top needs a terminal"), `"syntap status" needs none`)
	}
	return nil
}
