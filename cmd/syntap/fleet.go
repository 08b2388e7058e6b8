package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet/roster"
	"syntap/cmd/internal/fleet/search"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/terminal"
)

const fleetHelp = `List the routers whose logs are in a store, one a line: its last record and the age of that, the
records that another store has or that the router has announced (BEHIND), numbers missing between
records (MISSING), records that are there twice (TWICE), and how many times a log continued with
other records than the store had (FORKS). The head is the first part of the SHA-256 of the last
record's line. If two hosts write as one router, a line below says so.

--heads prints the last record of each log, one a line of JSON: router, log, seq, and the SHA-256 of
its line. Keep that where neither routers nor stores can change it, for "syntap verify --fleet
--head".`

// fleetCommand is the list of a fleet.
type fleetCommand struct {
	fleetFlags
	config, since string
	heads, json   bool
}

func newFleetCommand() *cobra.Command {
	var f fleetCommand
	cmd := &cobra.Command{
		Use:   "fleet [flags]",
		Short: "List the routers whose logs are in a store",
		Long:  fleetHelp,
		Example: `  syntap fleet
  syntap fleet --store https://logs1:9428 --json
  syntap fleet --heads > /mnt/elsewhere/heads-$(date +%F)`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.addStores(cmd)
	flags.StringVar(&f.since, "since", "24h", "count missing records and those that are there twice from this `TIME` on")
	flags.BoolVar(&f.heads, "heads", false, "print the last record of each log, as JSON, one a line")
	flags.BoolVar(&f.json, "json", false, "print one JSON object, that of /api/fleet")
	addUsualConfigFlag(cmd, &f.config)
	cmd.AddCommand(newFleetResendCommand(), newFleetKeyCommand())
	return cmd
}

func (f *fleetCommand) run(cmd *cobra.Command) error {
	now := time.Now()
	since, err := filter.ParseTime(f.since, now)
	switch {
	case err != nil:
		return hint.Usage(fmt.Errorf("--since: %w", err), hint.Of(err))
	case f.heads && f.json:
		return hint.Usage(errors.New("--heads and --json both say what to print"), "leave one of them out")
	}
	stores, err := f.open(cmd, f.config)
	if err != nil {
		return err
	}
	defer stores.Close()
	if f.heads {
		return f.printHeads(cmd, stores)
	}
	r, err := roster.Take(cmd.Context(), stores, roster.Options{Router: f.router, Since: since, Now: now})
	if err != nil {
		return err
	}
	text := []byte(rosterText(r))
	if f.json {
		if text, err = indented(r); err != nil {
			return err
		}
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

func (f *fleetCommand) printHeads(cmd *cobra.Command, stores search.Stores) error {
	store, err := f.first(cmd, stores)
	if err != nil {
		return err
	}
	heads, err := roster.Heads(cmd.Context(), store, f.router)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	for _, h := range heads {
		line, err := json.Marshal(h)
		if err != nil {
			return err
		}
		_, _ = out.Write(append(terminal.CleanJSON(line), '\n')) // Flush has the error
	}
	return out.Flush()
}

// Widths of columns.
const (
	nameWidth = 24
	headWidth = 12
)

// rosterText returns a roster for people.
func rosterText(r *roster.Roster) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s %-19s %6s %12s %8s %8s %6s %5s  %s\n", nameWidth,
		"ROUTER", "LAST RECORD", "AGE", "SEQ", "BEHIND", "MISSING", "TWICE", "FORKS", "HEAD")
	for i := range r.Routers {
		one := &r.Routers[i]
		fmt.Fprintf(&b, "%-*s %s %6s %12d %8d %8d %6d %5d  %.*s\n", nameWidth, terminal.Clean(one.Router),
			one.Time.Local().Format(time.DateTime), age(one.Age), one.Last, one.Behind, one.Missing, one.Duplicates,
			one.Forks, headWidth, one.Hash)
		if one.Writers > 1 {
			fmt.Fprintf(&b, "  %d hosts write as %s at the same time\n", one.Writers, terminal.Clean(one.Router))
		}
	}
	for _, s := range r.Stores {
		switch {
		case s.Error != "":
			fmt.Fprintf(&b, "store %s does not answer: %s\n", terminal.Clean(s.URL), terminal.Clean(s.Error))
		case len(r.Stores) > 1 || s.Behind > 0:
			fmt.Fprintf(&b, "store %s: %s behind\n", terminal.Clean(s.URL), counted(int(s.Behind), "record"))
		}
	}
	fmt.Fprintf(&b, "%s in %s\n", counted(len(r.Routers), "router"), terminal.Clean(r.Store))
	return b.String()
}

// age writes seconds in the largest unit of which there are two.
func age(seconds float64) string {
	for _, unit := range []struct {
		seconds float64
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}} {
		if seconds >= 2*unit.seconds {
			return fmt.Sprintf("%.0f%s", seconds/unit.seconds, unit.name)
		}
	}
	return fmt.Sprintf("%.0fs", max(0, seconds))
}

func newFleetKeyCommand() *cobra.Command {
	var master string
	cmd := &cobra.Command{
		Use:   "key --master FILE ROUTER",
		Short: "Print the key of a router's chain",
		Long: `Key prints the key of a router, for its "chain_key": the HMAC-SHA-256 of its name, in hex, with
the key in FILE. FILE verifies the logs of all routers, the key of a router only its own.`,
		Example: `  (umask 077; openssl rand -hex 32 > /root/fleet.key)
  syntap fleet key --master /root/fleet.key edge1 | ssh edge1 'umask 077; cat > /etc/syntap/key'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want the name of one router, got %d", len(args))
			}
			return nil
		},

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if master == "" {
				return hint.Usage(errors.New("no key to make it of"), "name its file with --master")
			}
			key, err := chain.ReadKey(master)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), string(chain.KeyOf(key, args[0]))+"\n")
			return err
		},
	}
	cmd.Flags().StringVar(&master, "master", "", "the `FILE` of the key that those of all routers are made of")
	return cmd
}
